"""One run at a time on one folder: a lock that the system frees when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modest.data.files import writing


@contextmanager
def held(lock: Path, folder: str | Path) -> Iterator[None]:
    """Keep other runs off ``folder`` inside the block, by the file ``lock``, which is removed after it.

    Raises
    ------
    OSError
        If another run holds it, or the file cannot be made.
    """
    with writing(folder):
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(lock)
    if handle is None:
        raise OSError(f"{folder} is in use by another run; wait for it or choose another folder.")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _locked(lock: Path) -> int | None:
    """Descriptor of the file, locked; None where another holds it."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        os.close(handle)  # whoever held it has removed it: what is locked now is no file of this name
