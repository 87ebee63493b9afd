"""What ``modest evaluate`` says of balance: whether a modality is lazy, and how far apart the features lie."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from modest.cli.output import table


def laziness(clf: Any, pool: Any, split: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Laziness of every modality on the rows of a split, as a payload and as text with a verdict."""
    from modest.learning.laziness import laziness, verdict

    found = laziness(_begun(clf, pool, folder), pool, split)
    lines = []
    for name, one in found.items():
        values = (one.alone_probe, one.joint_probe, one.alone, one.joint)
        lost = [f"{100 * d.mean:+.1f} [{100 * d.low:.1f}, {100 * d.high:.1f}]" for d in (one.encoder, one.said)]
        shown = [f"{100 * value:.1f}" for value in values]
        lines.append([name, *shown[:2], lost[0], *shown[2:], lost[1], one.rows])
    columns = ["modality", "probe alone", "together", "lost", "itself alone", "together", "lost", "rows"]
    title = "Each modality trained alone and together with the others: a linear probe on its encoder, and its own word"
    told = verdict(found, clf.method)
    plain = {name: {**asdict(one), "lazy": one.lazy, "unheard": one.unheard} for name, one in found.items()}
    return {"laziness": plain, "verdict": told}, [table(title, columns, lines), told]


def gap(clf: Any, pool: Any, split: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Modality gap of the features on the rows of a split before training and after, and a figure per pair."""
    import numpy as np

    from modest.data.files import write_text
    from modest.data.presence import observed
    from modest.learning.analyses import encoded, feature_gaps, untrained
    from modest.report.gap_plot import gap_figure
    from modest.report.plots import svg
    from modest.report.spaces import sample, space

    if len(clf.names_) < 2:
        raise ValueError(f"--gap needs two modalities, and this model has {clf.names_[0]} only; leave it out.")
    rows = np.flatnonzero(pool.split == split)
    models = {"before": untrained(_begun(clf, pool, folder)), "after": clf.trained_}
    features = {when: encoded(model, pool, rows, clf.device) for when, model in models.items()}
    gaps = {when: feature_gaps(views) for when, views in features.items()}
    plain: dict[str, Any] = {}
    lines = []
    for pair, after in gaps["after"].items():
        before, name = gaps["before"][pair], "-".join(pair)
        figures = {when: _figures(found) for when, found in (("before", before), ("after", after))}
        told = [f"{figures[when][key]:.3f}" for key in ("gap", "across", "paired") for when in figures]
        lines.append([name, *told, after.rows])
        plain[name] = figures
        if after.rows > 1:
            views = features["after"]
            both = observed(views)[:, [views.names.index(m) for m in pair]].all(axis=1)
            drawn = sample(pool.ids[rows], np.asarray(both))
            spaces = [space(_pair(views, pair), np.asarray(both), drawn, when) for when, views in features.items()]
            path = folder / f"gap-{name}.svg"
            write_text(path, svg(gap_figure(spaces)))
            plain[name]["figure"] = str(path)
    columns = ["pair", *(f"{key}, {when}" for key in ("gap", "across", "paired") for when in features), "rows"]
    text = [table("Modality gap of the features, before training and after", columns, lines)]
    return {"gap": plain}, text + [f"drawn in {one['figure']}" for one in plain.values() if "figure" in one]


def _begun(clf: Any, pool: Any, folder: Path) -> Any:
    """The classifier with the pretrained encoders that ``modest train --start`` began with, if it did."""
    from modest.cli.models import model_folder
    from modest.data.files import read_json

    path = folder / "metrics.json"
    start = read_json(path).get("start") if path.is_file() else None
    return clf.set_params(encoders=model_folder(pool.path, start)) if start else clf


def _figures(found: Any) -> dict[str, Any]:
    told = {key: getattr(found, key) for key in ("gap", "across", "paired", "unpaired", "rows")}
    return {**told, "within": dict(found.within)}


def _pair(views: Any, pair: tuple[str, str]) -> Any:
    from modest.types import Views

    return Views({name: views.arrays[name] for name in pair}, None, views.ids)
