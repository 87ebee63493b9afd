"""MMCSAL, stage 2: ActiveFT on paired modalities, with the halves of every parameter drawn together.

Reference: Shen et al., MMAsia 2024, Eq. 5-9.

    symbol        variable      shape     meaning
    r_i^m         r[m]          (n, d_m)  unit rows of modality m
    theta_j^m     theta[m]      (B, d_m)  halves of parameter j, each normalised by itself
    s(i, j)                     (n, B)    mean over modalities of cos(r_i^m, theta_j^m)
    tau           temperature             divides cosines
    lambda_div, lambda_align              weights of diversity and alignment

    D = -mean_i s(i, s_i) / tau                                               (Eq. 6)
    R = -mean_j log sum_{k != j} exp(s(theta_j, theta_k) / tau)               (Eq. 7)
    A = +mean_j log sum_k exp(cos(theta_j^1, theta_k^2) / tau)                (Eq. 8)
    P = mean_j cos(theta_j^1, theta_j^2) / tau

    loss = D - lambda_div R + alignment, with alignment
           -lambda_align A                            align="lse"
           -lambda_align P                            align="paired"
           +lambda_align ((A + A reversed) / 2 - P)   align="infonce", the default

Erratum of Eq. 9: it prints D - lambda_div R + lambda_align R. The second R must be A, for with both weights 1 the print
cancels its own diversity; and + A would minimise the similarity of the halves where the text maximises it three times
over. Every form here has the sign that raises the cosine of a pair; ``preset="paper"`` is released + ``"lse"``.
``"infonce"`` is the one reading in which both the printed plus and the sum over all k are right (the numerator was
lost), and the only one whose effect has the paper's size under the paper's optimiser.

Departures: D - lambda_div R stands in the released form of ActiveFT by default (see ``activeft.py``). More than two
modalities: alignment is the mean over modality pairs. A start row's missing half is that modality's mean direction;
items count with the modalities they have. Alignment takes cosines between halves, so it exists only between views of
one dimension, as encoders of one shared space give: ``align=None`` is ``"infonce"`` there and ``"none"`` for a single
modality or views of different dimension (the trace says which); asking for an alignment that cannot be is an error.
Cost n B D / refresh + 3 B^2 D per step; memory one tile x B. ``scores`` as in ActiveFT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from modest.checks import known
from modest.neighbours import Rows
from modest.neighbours.device import Precision
from modest.selection.activeft import choose_by_parameters
from modest.selection.parametric import Align, Objective, Schedule, Settings
from modest.types import Choice, Views

Halves = Mapping[str, Tensor]

PRESETS: Mapping[str, tuple[Objective, Align]] = {"paper": ("released", "lse"), "library": ("released", "infonce")}


def _mean_cosine(a: Halves, b: Halves) -> Tensor:
    """(n, B) mean over modalities of the cosine of every row of ``a`` with every row of ``b``."""
    return torch.stack([normalize(a[m], dim=1) @ normalize(b[m], dim=1).T for m in b]).mean(dim=0)


def distribution_gap(r: Halves, theta: Halves, temperature: float) -> Tensor:
    """D of Eq. 6, a scalar: minus the mean similarity of every item to its nearest parameter, over ``temperature``.

    r, theta: {modality: (n, d_m)}, {modality: (B, d_m)} tensors, normalised inside; differentiable. Plain and dense:
    the equation itself, for study and tests; :func:`mmcsal` optimises it in tiles.

    Examples
    --------
    >>> x = {"image": torch.eye(3)}
    >>> float(distribution_gap(x, x, temperature=0.5))
    -2.0
    """
    return -_mean_cosine(r, theta).max(dim=1).values.mean() / temperature


def diversity(theta: Halves, temperature: float, self_term: bool = False) -> Tensor:
    """R of Eq. 7, a scalar: minus the mean log-sum-exp of every parameter's similarity to the others.

    ``self_term`` keeps k = j. theta: {modality: (B, d_m)} tensors, normalised inside; differentiable.

    Examples
    --------
    >>> float(diversity({"image": torch.eye(2)}, temperature=0.5))  # the one other is orthogonal: log exp 0
    -0.0
    """
    logits = _mean_cosine(theta, theta) / temperature
    if not self_term:
        logits = logits.masked_fill(torch.eye(len(logits), dtype=torch.bool, device=logits.device), -torch.inf)
    return -torch.logsumexp(logits, dim=1).mean()


def alignment(theta: Halves, temperature: float, form: Literal["lse", "paired", "infonce"] = "lse") -> Tensor:
    """A of Eq. 8 (``lse``), P (``paired``) or (A + A reversed) / 2 - P (``infonce``), a mean over modality pairs.

    The first two are subtracted from the loss, the third is added. theta as in :func:`diversity`, equal d_m.

    Examples
    --------
    >>> halves = {"image": torch.eye(2), "text": torch.eye(2)}
    >>> float(alignment(halves, 0.5, "paired"))
    2.0
    """
    known(form, ("lse", "paired", "infonce"), "form")
    units = [normalize(half, dim=1) for half in theta.values()]
    values = []
    for a, first in enumerate(units):
        for second in units[a + 1 :]:
            logits = first @ second.T / temperature
            forward, pair = torch.logsumexp(logits, dim=1).mean(), logits.diagonal().mean()
            backward = torch.logsumexp(logits, dim=0).mean()
            values.append({"lse": forward, "paired": pair, "infonce": (forward + backward) / 2 - pair}[form])
    if not values:
        raise ValueError("alignment needs at least two modalities in theta.")
    return torch.stack(values).mean()


def mmcsal(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    init: Any = None,
    preset: Literal["paper", "library"] | None = None,
    objective: Objective = "released",
    align: Align | None = None,
    lambda_div: float = 1.0,
    lambda_align: float = 1.0,
    temperature: float = 0.07,
    steps: int = 300,
    lr: float = 1e-3,
    schedule: Schedule = "cosine",
    refresh: int = 5,
    precision: Precision = "auto",
) -> Choice:
    """Choose the rows nearest ``budget`` parameters that match the pool, stay apart and agree across modalities.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality, at least one.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows that count as covered and may not be chosen.
    closed : (n,) bool, optional
        Rows that may not be chosen and still belong to the pool that is matched.
    seed, memory, device
        As in :func:`modest.select`.
    init : (b,) int or "farthest", optional
        As in ActiveFT.
    preset : {"paper", "library"}, optional
        Sets ``objective`` and ``align`` together: released with lse, or released with infonce.
    objective, align, lambda_div, lambda_align, temperature, steps, lr, schedule, refresh, precision
        As above and in ActiveFT.

    Examples
    --------
    >>> eye = torch.eye(3).repeat_interleave(4, 0)
    >>> views = Views({"image": eye + 0.01, "text": eye - 0.01})
    >>> sorted(row // 4 for row in mmcsal(views, 3, init=[0, 4, 8]).rows.tolist())
    [0, 1, 2]
    """
    if preset is not None:
        objective, align = PRESETS[known(preset, PRESETS, "preset")]
    dims = [shape[1] for shape in views.shape.values()]
    comparable = len(dims) > 1 and len(set(dims)) == 1
    if align not in (None, "none") and not comparable:
        raise ValueError(
            f"align={align!r} needs two or more views of one dimension, these have {', '.join(map(str, dims))}; "
            "give views of one shared space, or align='none'."
        )
    form: Align = align if align is not None else "infonce" if comparable else "none"
    settings = Settings(objective, form, lambda_div, lambda_align, temperature, steps, lr, schedule, refresh)
    rows = Rows(views, device=device, memory=memory, precision=precision)
    return choose_by_parameters("mmcsal", rows, budget, taken, closed, seed, init, settings)
