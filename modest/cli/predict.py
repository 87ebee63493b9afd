"""``modest predict``: labels, probabilities and the weight of each modality for the rows of a pool, as CSV."""

from __future__ import annotations

from pathlib import Path

import typer

from modest.cli.models import model_folder
from modest.cli.output import JSON, finish


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool."),
    model: str = typer.Option(..., help="Name under the pool's models/, or the folder of a model."),
    out: Path = typer.Option(Path("predictions.csv"), help="CSV file to write."),
    split: str = typer.Option("", help="Only rows of this split; all rows when left out."),
    device: str = typer.Option("", help="cpu or cuda; decided when left out."),
    json: bool = JSON,
) -> None:
    """Predict every row of a pool: id, label, probability, and the weight each modality had.

    Example: modest predict demo-pool --model mla --out predictions.csv
    """
    import numpy as np
    import pandas as pd

    import modest
    from modest.training.checkpoints import write_atomically

    clf = modest.load(model_folder(pool, model), device=device or None)
    opened = modest.open(pool)
    rows = np.arange(len(opened.ids))
    if split:
        rows = np.flatnonzero(np.asarray(opened.split) == split)
        if not len(rows):
            known = ", ".join(sorted(set(np.asarray(opened.split).tolist())))
            raise ValueError(f"--split {split!r} has no rows; the pool has {known}.")
    out_of = clf.outputs(opened, rows)
    proba, weights = out_of.proba, out_of.weights
    best = proba.argmax(axis=1)
    frame = pd.DataFrame(
        {"id": np.asarray(opened.ids)[rows], "label": clf.classes_[best], "probability": proba.max(axis=1)}
    )
    for m, name in enumerate(clf.names_):
        frame[f"weight_{name}"] = weights[:, m]
    if not out.parent.is_dir():
        raise FileNotFoundError(f"--out {out}: its folder does not exist; make it first.")
    write_atomically(out, frame.to_csv(index=False).encode())
    counts = frame["label"].value_counts()
    told = [f"{len(frame)} rows predicted, written to {out}"]
    told += [f"  {label}: {count}" for label, count in counts.head(10).items()]
    following = f"modest evaluate {pool} --model {model}"
    finish({"out": str(out), "rows": len(frame), "labels": counts.to_dict()}, json, told, following)
