"""How unsure the model is of a candidate's partner: step 3, the lowest score is asked first.

Margin is the measure of "Towards Multimodal Active Learning" (arXiv 2510.03247); the others are ours but for
``hard_negative``, which is that of Jo, Lee, Chung and Choi (arXiv 2405.16301) in the form of our notes.

    symbol   variable       meaning
    s_cj                    cosine of candidate c and free row j of the target
    t        temperature    p_cj = softmax over j of s_cj / t

    margin             s of the most similar j less that of the second
    entropy            - of p_c
    least_confidence   largest p_cj
    bidirectional      margin(c) + margin of its most similar j looking back at the free rows of c's side
    csls               margin of 2 s_cj - r_j over the 32 most similar j, r_j the mean of the 10 largest s_cj over the
                       candidates c: a row that is near everybody's is no rival
    hard_negative      - sum over the ``top`` largest (all by default) pairs (v, l) of max(0, alpha + c . l - v . l)

With one free row of the target margins are infinite, so that they come last, and with none all scores are but
``hard_negative``'s, which looks at pairs. Cost B_C u' d for B_C candidates and u' free rows of the target; ``entropy``
and ``least_confidence`` twice that, ``bidirectional`` as many again for each distinct most similar j with u rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modest.neighbours import softmax_sums, top_k
from modest.pairing.sides import Direction, Setting, Side
from modest.types import Float, Int

HUBS, RIVALS = 10, 32


@dataclass(frozen=True)
class Uncertain:
    """What a score is made with: ``temperature`` of the softmax; ``alpha`` and ``top`` of hard negatives."""

    temperature: float = 0.07
    alpha: float = 0.2
    top: int | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """``score`` (c,), lowest first; ``best`` (c,) most similar free row of the target, -1 where there is none, None
    where it was not looked for; ``evaluations`` similarities computed.
    """

    score: Float
    best: Int | None
    evaluations: int


def margin(setting: Setting, way: Direction, rows: Int, knobs: Uncertain) -> Scored:
    """Most similar less second most similar."""
    side, target = setting.sides[way[0]], setting.sides[way[1]]
    value, at = most_similar(side, target, rows, 2)
    return Scored(apart(value), at[:, 0], len(rows) * len(target.open))


def most_similar(side: Side, target: Side, rows: Int, k: int) -> tuple[Float, Int]:
    """(c, k) similarities of the most similar free rows of ``target``, descending, -inf and -1 beyond them."""
    values, places = np.full((len(rows), k), -np.inf), np.full((len(rows), k), -1, dtype=np.int64)
    least = min(k, len(target.open))
    for part, x in _parts(side, rows) if least else ():
        value, at = top_k(target.rows, x, least, _free(target))
        values[part, :least] = value.double().cpu().numpy()
        places[part, :least] = at.cpu().numpy()
    return values, places


def _parts(side: Side, rows: Int) -> Iterator[tuple[slice, Tensor]]:
    """Some of the rows at a time, as slices, and their vectors."""
    step = int(max(1, min(8_192, side.rows.memory // 16 // (side.rows.width * 4))))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        yield part, side.rows.take(rows[part]).x


def _free(side: Side) -> Tensor:
    return torch.as_tensor(side.free, device=side.rows.device)


def apart(value: Float) -> Float:
    """(c,) first less second column, infinity where there is no second."""
    margins, two = np.full(len(value), np.inf), np.isfinite(value[:, 1])
    margins[two] = value[two, 0] - value[two, 1]
    return margins


def _softmax(setting: Setting, way: Direction, rows: Int, knobs: Uncertain) -> tuple[Float, Float, Float, Scored]:
    """Largest logit, log of the sum of exponentials and mean logit of every candidate; and scores of infinity."""
    side, target = setting.sides[way[0]], setting.sides[way[1]]
    value, at = most_similar(side, target, rows, 1)
    log_sum, mean = np.zeros(len(rows)), np.zeros(len(rows))
    for part, x in _parts(side, rows) if len(target.open) else ():
        sums = softmax_sums(target.rows, x, knobs.temperature, _free(target))
        log_sum[part], mean[part] = (one.cpu().numpy() for one in sums)
    found = Scored(np.full(len(rows), np.inf), at[:, 0], 2 * len(rows) * len(target.open))
    return value[:, 0] / knobs.temperature, log_sum, mean, found


def entropy(setting: Setting, way: Direction, rows: Int, knobs: Uncertain) -> Scored:
    """Minus the entropy of the softmax over free rows of the target."""
    _, log_sum, mean, found = _softmax(setting, way, rows, knobs)
    return found if found.evaluations == 0 else Scored(mean - log_sum, found.best, found.evaluations)


def least_confidence(setting: Setting, way: Direction, rows: Int, knobs: Uncertain) -> Scored:
    """Largest probability of the softmax over free rows of the target."""
    best, log_sum, _, found = _softmax(setting, way, rows, knobs)
    return found if found.evaluations == 0 else Scored(np.exp(best - log_sum), found.best, found.evaluations)


def bidirectional(setting: Setting, way: Direction, rows: Int, knobs: Uncertain) -> Scored:
    """Margin of the candidate plus that of its most similar row looking back."""
    side, target = setting.sides[way[0]], setting.sides[way[1]]
    value, at = most_similar(side, target, rows, 2)
    if not len(target.open):
        return Scored(apart(value), at[:, 0], 0)
    partners, which = np.unique(at[:, 0], return_inverse=True)
    back = apart(most_similar(target, side, partners, 2)[0])
    evaluations = len(rows) * len(target.open) + len(partners) * len(side.open)
    return Scored(apart(value) + back[which], at[:, 0], evaluations)


def csls(setting: Setting, way: Direction, rows: Int, knobs: Uncertain) -> Scored:
    """Margin of similarities from which those of a row that is near all candidates are taken off."""
    side, target = setting.sides[way[0]], setting.sides[way[1]]
    value, at = most_similar(side, target, rows, RIVALS)
    listed, which = np.unique(at[at >= 0], return_inverse=True)
    hub = np.zeros(at.shape)
    candidates = side.rows.take(rows).x
    step = max(1, side.rows.memory // 8 // (8 * max(1, len(rows))))
    parts = [target.rows.take(listed[k : k + step]).x @ candidates.T for k in range(0, len(listed), step)]
    near = [part.topk(min(HUBS, len(rows)), dim=1).values.double().mean(1) for part in parts]
    if near:
        hub[at >= 0] = torch.cat(near).cpu().numpy()[which]
    corrected = 2.0 * value - hub
    order = np.argsort(-corrected, axis=1, kind="stable")
    best = np.take_along_axis(at, order, axis=1)[:, 0]
    evaluations = len(rows) * (len(target.open) + len(listed))
    return Scored(apart(np.take_along_axis(corrected, order, axis=1)[:, :2]), best, evaluations)


def hard_negative(setting: Setting, way: Direction, rows: Int, knobs: Uncertain) -> Scored:
    """Minus the triplet loss that the candidate would add to the pairs bought."""
    own, other = setting.sides[way[0]].rows, setting.sides[way[1]].rows
    held = [two if key == way else two[:, ::-1] for key, two in setting.pairs.items() if set(key) == set(way)]
    pairs = np.concatenate([np.empty((0, 2), np.int64), *held])
    if not len(pairs):
        return Scored(np.zeros(len(rows)), None, 0)
    partner = other.take(pairs[:, 1]).x
    matched = (own.take(pairs[:, 0]).x * partner).sum(1)
    score, step = [], max(1, own.memory // 8 // (8 * len(pairs)))
    for start in range(0, len(rows), step):
        terms = (knobs.alpha + own.take(rows[start : start + step]).x @ partner.T - matched).clamp_min_(0.0)
        worst = terms if knobs.top is None else terms.topk(min(knobs.top, len(pairs)), dim=1).values
        score.append(worst.sum(1, dtype=torch.float64))
    return Scored(-torch.cat(score).cpu().numpy(), None, (len(rows) + 1) * len(pairs))


UNCERTAINTY: Mapping[str, Callable[[Setting, Direction, Int, Uncertain], Scored]] = {
    "margin": margin,
    "entropy": entropy,
    "least_confidence": least_confidence,
    "bidirectional": bidirectional,
    "csls": csls,
    "hard_negative": hard_negative,
}
