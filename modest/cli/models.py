"""Where a model is: a folder, or the name of one under the pool's models/; and what selection asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def model_folder(pool: Path, model: str) -> Path:
    """Folder of a trained model.

    Parameters
    ----------
    pool : folder of the pool
    model : a name under ``pool/models``, or the path of a folder

    Raises
    ------
    FileNotFoundError
        If there is neither, naming the models there are.
    """
    for folder in (pool / "models" / model, Path(model)):
        if (folder / "config.json").is_file():
            return folder
    there = sorted(p.name for p in (pool / "models").iterdir()) if (pool / "models").is_dir() else []
    raise FileNotFoundError(
        f"--model {model!r} is neither a folder of a model nor a name under {pool / 'models'}; "
        f"there {'are ' + ', '.join(there) if there else 'is none yet, run modest train'}."
    )


def hidden(pool: Any) -> dict[str, Any]:
    """What results say of the mask that a pool was read under: its hash and rate; nothing without one."""
    mask = getattr(pool, "mask", None)
    return {} if mask is None else {"mask": {"sha256": mask.sha256, "rate": mask.rate, "about": dict(mask.about)}}


def warm_arrays(pool: Any, model: str | None, method: str, rows: Any, taken: Any, device: str | None) -> dict[str, Any]:
    """Arrays that a selection method takes of some rows (k,) of an open pool; none for a method that takes none.

    Labels are those of ``taken`` (k,) rows alone, so that a rehearsal on a labelled pool sees what was bought.

    Raises
    ------
    ValueError
        If the method needs a model and none is named, or the other way round, or the model is no classifier.
    """
    import modest
    from modest.selection import METHODS

    entry = METHODS[method]
    if model is None:
        if entry.needs:
            raise ValueError(
                f"--method {method} needs {', '.join(entry.needs)} of a trained classifier; name it by --model "
                "(modest train --method concat makes one)."
            )
        return {}
    wanted = (*entry.needs, *entry.uses)
    if not wanted:
        raise ValueError(f"--method {method} uses no model; leave out --model.")
    clf = modest.load(model_folder(pool.path, model), device=device)
    if not hasattr(clf, "arrays"):
        raise ValueError(f"--model {model} is no classifier, which selection needs; name one made by modest train.")
    known = pool.labels.copy()
    known[rows[~taken]] = None
    arrays: dict[str, Any] = clf.arrays(pool, wanted, rows, known)
    return arrays
