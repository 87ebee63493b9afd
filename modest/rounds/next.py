"""What to do with a pool now, and why: one line and one command, from the pool's state alone.

The first of these that is so, says it:

    a view is short or broken                            embed
    answers were given that are not in the pool          labels add
    there is no view                                     embed
    a round waits for answers                            annotate
    items of one modality each, no label                 pair choose; pair train once pairs were bought
    no label, or all of one class                        select
    labels that no model was trained on                  train
    that model was not scored                            evaluate
    nothing is left to choose                            stop
    another round promises less than the threshold       stop
    else                                                 select, as many as the last time

The curve is the pool's history (:mod:`modest.data.history`), its promise :func:`modest.evaluation.enough`. Nothing is
written, and no array is read but which rows are there.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.data import media, stored
from modest.data.history import past_curve, read_history
from modest.data.pairs import bought, sides
from modest.evaluation import enough
from modest.rounds.state import State, metrics_of
from modest.selection import METHODS

if TYPE_CHECKING:
    from modest.data.pool import Pool

FIRST = 200  # items of a first round, but at most a tenth of the items and at least LEAST
LEAST = 20
WHOLE = 0.1  # a pool whose share of items with two modalities is below this has yet to be paired
REPRESENTATION = "representation"
BUILT_IN = {"image": "pixels", "video": "pixels", "audio": "logmel", "text": "hashed-text"}


@dataclass(frozen=True)
class Advice:
    """``action`` (embed, "labels add", annotate, "pair choose", "pair train", select, train, evaluate or stop), ``why``
    in one sentence, the ``command`` to run now, and the ``facts`` it follows from.
    """

    action: str
    why: str
    command: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def advise(pool: Pool, waiting: int = 0, unclear: Collection[Any] = (), threshold: float = 0.01) -> Advice:
    """Say what to do next.

    Parameters
    ----------
    pool : Pool
    waiting : answers that people gave and that are not in the pool yet
    unclear : what people answered without anything coming of it, and is not waited for: ids of items, and (id, side,
        target, round) of questions about partners
    threshold : gain in accuracy that another round must promise (0.01 is a point)

    Raises
    ------
    ValueError, FileNotFoundError
        If a file of the pool is not what was written.
    """
    state = State(pool, waiting, frozenset(unclear))
    looks: tuple[Callable[[State], Advice | None], ...] = (_views, _people, _pairs, _first, _model)
    told = (look(state) for look in looks)
    found = next((one for one in told if one is not None), None) or _another(state, threshold)
    return replace(found, facts={**state.facts, **found.facts})


def _views(state: State) -> Advice | None:
    pool = state.pool
    if not pool.names:
        told = {name: name if name in media.KINDS else media.kind(_first_value(pool, name)) for name in _raw(pool)}
        uris = {name: (BUILT_IN[kind or "image"], name) for name, kind in told.items()}
        why = f"the {len(pool):,} items have no view yet, which choosing and training stand on"
        return Advice("embed", why, stored.embed_command(pool.path, uris or {"image": ("URI", "image")}))
    try:
        pool.views()
    except (ValueError, FileNotFoundError) as error:
        return Advice("embed", str(error).rstrip("."), _mend(state))
    return None


def _raw(pool: Pool) -> list[str]:
    return stored.raw_modalities(pool.table)


def _first_value(pool: Pool, name: str) -> str:
    return str(pool.table[name].dropna().iloc[0])


def _mend(state: State) -> str:
    """The command that completes a short view, or makes a broken one again."""
    pool = state.pool
    if pool.short:
        return pool.embed_command()
    for name in pool.names:
        encoder = pool.encoder(name)
        try:
            stored.open_view(pool.path, name, encoder, str(pool.config["rows"]), len(pool), lambda: pool.ids)
        except (ValueError, FileNotFoundError):
            if stored.trained(pool.path, name, encoder):
                return state.command("represent", "--name", encoder, "--extend")
            if encoder != "given":
                return stored.embed_command(pool.path, {name: stored.made_by(pool.path, name, encoder)})
            break
    return shlex.join(["modest", "ingest", "SOURCE", "--into", str(pool.path)])


def _people(state: State) -> Advice | None:
    """Answers to take in, or questions to answer."""
    if state.waiting:
        why = f"{state.waiting:,} answers were given and are not in the pool yet"
        return Advice("labels add", why, state.command("labels", "add"))
    if state.left:
        number, count = next(iter(state.left.items()))
        whole = len(state.rounds[number])
        given = "none has" if count == whole else f"{whole - count:,} have"
        why = f"round {number} chose {whole:,} items and {given} an answer; {count:,} are left"
        return Advice("annotate", why, state.command("annotate", *state.left))
    if state.asked:
        why = f"{state.asked:,} questions about partners have no answer yet"
        return Advice("annotate", why, state.command("annotate"))
    return None


def _pairs(state: State) -> Advice | None:
    """Pairs to buy, where items have one modality each and nobody asks for classes."""
    pool = state.pool
    train = pool.split == "train"
    there = pool.present[train]
    if state.known or there.shape[1] < 2 or not there.any(axis=0).all() or (there.sum(axis=1) > 1).mean() >= WHOLE:
        return None
    pairs = sum(map(len, bought(pool, sides(pool)[1]).values()))
    facts = {"pairs": pairs}
    budget = str(_size(int(there.any(axis=1).sum())))
    again = state.command("pair", "choose", "--budget", budget)
    if not pairs:
        names = " and ".join(pool.names)
        why = f"{names} are items apart and no pair of them is known: buy the first {budget}"
        return Advice("pair choose", why, again, facts)
    learned = [about["about"].get("pairs") for _, about in state.models(REPRESENTATION)]
    if pairs not in learned:
        why = f"{pairs:,} pairs are known and no model was trained on all of them"
        return Advice("pair train", why, state.command("pair", "train"), facts)
    why = f"a model was trained on all {pairs:,} pairs; what {budget} more would bring is not known here"
    return Advice("pair choose", why, again, facts)


def _first(state: State) -> Advice | None:
    """The first labels, or another class."""
    budget = min(_size(len(state.pool)), state.free)
    classes = {label for label in state.pool.labels[state.pool.split == "train"] if label is not None}
    if len(classes) > 1:
        return None
    if not state.free:
        why = "no training item is left to choose, and no two classes are known"
        return Advice("stop", why, state.command("report"))
    train = int((state.pool.split == "train").sum())
    why = f"none of the {train:,} training items has a label: choose the first {budget}"
    if classes:
        why = f"all {state.labels[0]:,} labels say {classes.pop()!r}, and a classifier needs two classes"
    return Advice("select", why, state.command("select", "--budget", budget))


def _size(items: int) -> int:
    return min(FIRST, max(LEAST, items // 10), items)


def _model(state: State) -> Advice | None:
    """A training, or an evaluation, that is due."""
    count, current = state.labels[0], state.current
    if current is None:
        earlier = [(folder, metrics_of(folder)) for folder, _ in state.models("classifier")][:1]
        why = f"{count:,} training items have labels and no model was trained on just these"
        return Advice("train", why, state.command("train", *(word for one in earlier for word in _as_before(*one))))
    folder, metrics = current
    split = _measured(state)
    if split is None or split in metrics.get("evaluation", {}):
        return None
    words = ["evaluate", "--model", folder.name, *(["--split", split] if split != "test" else [])]
    why = f"{folder.name} was trained on {count:,} labels and is not scored yet"
    return Advice("evaluate", why, state.command(*words))


def _as_before(folder: Path, metrics: Mapping[str, Any]) -> list[str]:
    """What repeats an earlier training, as far as a model tells."""
    method, start = metrics.get("method"), metrics.get("start")
    told = ["--method", method] if method else []
    told += ["--start", start] if start else []
    return [*told, *(["--name", folder.name] if folder.name != method else [])]


def _measured(state: State) -> str | None:
    """The split that models are scored on: test, or val, if any of its items has a label."""
    known = {split for split, label in zip(state.pool.split, state.pool.labels) if label is not None}
    return next((split for split in ("test", "val") if split in known), None)


def _another(state: State, threshold: float) -> Advice:
    """Another round, or none, by the curve of those before."""
    size = min(len(state.rounds[max(state.rounds)]) if state.rounds else _size(len(state.pool)), state.free)
    if not size:
        return Advice("stop", "every training item that can be read is labelled or was chosen", state.command("report"))
    go_on = state.command("select", "--budget", size, *_chosen_by(state))
    if _measured(state) is None:
        why = f"no item of split test or val has a label, so what {size:,} more would bring cannot be told"
        return Advice("select", why, go_on)
    counts, scores = past_curve(read_history(state.pool.path))
    if not len(counts):
        return Advice("select", f"no evaluation is on record, so what {size:,} more would bring cannot be told", go_on)
    found = enough(counts, scores, to=int(counts[-1]) + size, threshold=threshold)
    facts = {"curve": {"labelled": counts.tolist(), "accuracy": scores.tolist()}, "enough": asdict(found)}
    if found.enough:
        return Advice("stop", found.why, state.command("report"), facts)
    return Advice("select", found.why, go_on, facts)


def _chosen_by(state: State) -> list[str]:
    """The method of the last round, and the model that it asks."""
    method = str(state.pool.rounds[-1].manifest.get("method", "auto")) if state.rounds else "auto"
    if method not in METHODS:
        return []
    told = [] if method == "auto" else ["--method", method]
    asks = bool(METHODS[method].needs or METHODS[method].uses) and state.current is not None
    return [*told, *(["--model", state.current[0].name] if asks and state.current else [])]
