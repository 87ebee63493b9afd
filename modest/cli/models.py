"""Where a model is: a folder, or the name of one under the pool's models/."""

from __future__ import annotations

from pathlib import Path


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
