"""``modest evaluate --patterns``: a model by presence pattern and missing rate, and what it imagines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from modest.cli.output import numbers, table

_MOST = 5  # modalities: 2^M - 1 passes are made for the rates
_SHOWN = {
    "accuracy": "accuracy", "low": "from", "high": "to", "weighted_f1": "weighted F1", "ece": "ece",
    "ece_by_chance": "by chance",
}  # fmt: skip


def patterns(clf: Any, pool: Any, split: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Payload and lines on the labelled rows of ``split``, and a figure of each beside the model."""
    import numpy as np

    from modest.data.files import write_text
    from modest.learning.inputs import encode_labels
    from modest.report.patterns import model_parts
    from modest.report.plots import svg

    rows = np.flatnonzero((pool.split == split) & np.array([label is not None for label in pool.labels], dtype=bool))
    labels = pool.labels[rows].astype(np.str_)
    truth = encode_labels(labels, len(rows), np.asarray(clf.classes_).astype(np.str_))[1]
    plain: dict[str, Any] = {}
    text: list[str] = []
    for look in (_scores, _rates, _imagination) if 2 <= len(clf.names_) <= _MOST else (_scores,):
        found, told = look(clf, pool, rows, truth)
        plain |= found
        text += ["", *told] if text and told else told
    plain["figures"] = {}
    for part in model_parts({split: numbers(plain)}, folder.name):
        if part.figure is not None:
            path = folder / f"{part.title.split(',')[0].lower().replace(' ', '-')}-{split}.svg"
            write_text(path, svg(part.figure))
            plain["figures"][part.title] = str(path)
    return plain, text + [f"drawn in {path}" for path in plain["figures"].values()]


def _scores(clf: Any, pool: Any, rows: Any, truth: Any) -> tuple[dict[str, Any], list[str]]:
    from modest.evaluation.patterns import pattern_scores

    said = clf.outputs(pool, rows)
    found = [one.plain() for one in pattern_scores(truth, said.proba, said.present, clf.names_)]
    lines = [[" + ".join(one["names"]), *(f"{100 * one[key]:.1f}" for key in _SHOWN), one["rows"]] for one in found]
    return {"patterns": found}, [table("By presence pattern, in %", ["modalities", *_SHOWN.values(), "rows"], lines)]


def _rates(clf: Any, pool: Any, rows: Any, truth: Any) -> tuple[dict[str, Any], list[str]]:
    """Expected accuracy of complete rows at missing rates; nothing where there are fewer than two."""
    import numpy as np

    from modest.evaluation.patterns import accuracy_at_rates, found_patterns
    from modest.learning.shown import Shown

    shown, count = Shown(clf.trained_, pool, rows, clf.device), len(clf.names_)
    at = np.flatnonzero(shown.present.all(axis=1))
    if len(at) < 2:
        return {}, []
    own = truth[np.searchsorted(rows, shown.rows[at])]
    every = found_patterns((np.arange(1, 2**count)[:, None] >> np.arange(count)) & 1)[0]
    right = np.stack([shown.proba(at, pattern).argmax(axis=1) == own for pattern in every])
    most = (count - 1) / count
    found = accuracy_at_rates(right, every, [*np.arange(0.0, most - 1e-9, 0.1).round(1).tolist(), most])
    lines = [[f"{100 * value:.1f}" for value in (one["rate"], one["mean"], one["low"], one["high"])] for one in found]
    title = f"{len(at)} complete rows, were a share of their modalities missing: expected accuracy over all masks, in %"
    return {"rates": found}, [table(title, ["missing", "accuracy", "from", "to"], lines)]


def _imagination(clf: Any, pool: Any, rows: Any, truth: Any) -> tuple[dict[str, Any], list[str]]:
    """Errors of what a completion imagines; nothing of a method that does not."""
    from modest.completion.imagination import imagination
    from modest.completion.methods import Imagining

    if not isinstance(clf.recipe_, Imagining):
        return {}, []
    found = [asdict(one) for one in imagination(clf.trained_, pool, rows, clf.device)]
    lines = [[f"{one['modality']} from {' + '.join(one['seen'])}", f"{one['error']:.3f}", one["rows"]] for one in found]
    title = "Imagined, with what is there hidden: squared error, 1 = no better than the mean"
    return {"imagination": found}, [table(title, ["modality", "error", "rows"], lines)]
