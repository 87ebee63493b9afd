"""Run in a process of its own by test_embed_kill: embed, killed by SIGKILL before its k-th step, for every k.

Steps are readings of a raw value and renamings of a finished file into place. Each run is a fork, so that a kill is
real and start-up is paid once. Prints how many moments were tried.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

import modest
from modest.data import files
from modest.encoders import embed, pixels
from tests.encoders.test_embed import content

SHARD = {"shard": 3, "batch_size": 2}


def in_fork(pool, kill_at=None, **options):
    """Exit status of a forked embed: 0, or 9 when it was killed; the number of its steps goes through a pipe."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        steps, reads = [], []
        rename, read = os.replace, pixels.read_image

        def step():
            if len(steps) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            steps.append(1)

        os.replace = lambda *given: (step(), rename(*given))[1]
        pixels.read_image = lambda value: (reads.append(value), step(), read(value))[2]
        try:
            embed(pool, {"image": "pixels?size=2"}, **SHARD, **options)
            os.write(into, f"{len(steps)} {len(reads)}".encode())
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent has to hear of it
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
    os.close(into)
    status = os.waitpid(child, 0)[1]
    told = os.read(out, 100).decode()
    os.close(out)
    return (9 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), [int(x) for x in told.split()]


def visible(path, whole):
    """Whoever opens the pool now sees no view, or one whose array is the one described."""
    about = path / "views/image/pixels-size-2.json"
    if about.is_file():
        told, array = files.read_json(about), np.load(about.with_suffix(".npy"))
        assert list(array.shape) == told["shape"]
        assert np.array_equal(array, whole[told["revision"]][: len(array)], equal_nan=True)


def main(folder: Path, fresh: bool) -> int:
    before = content(folder)
    pool = folder / "pool"
    whole = {p.parts[-1]: np.load(p / "array.npy") for p in (folder / "arrays").iterdir()}

    def restore():
        for path in folder.joinpath("pool").rglob("*"):
            if path.is_file() and str(path.relative_to(folder)) not in before:
                path.unlink()
        for name, data in before.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    status, (steps, reads) = in_fork(pool, fresh=fresh)
    assert status == 0
    expected = content(pool)
    saved = []
    for k in range(steps):
        restore()
        assert in_fork(pool, kill_at=k, fresh=fresh)[0] == 9
        visible(pool, whole)
        status, found = in_fork(pool, fresh=fresh)
        assert status == 0, f"killed at {k}"
        assert content(pool) == expected, f"killed at {k}"
        assert len(modest.open(pool).views()) == len(modest.open(pool))
        saved.append(reads - found[1])
    assert saved[0] == 0
    assert saved[-1] == reads  # killed after the last shard: nothing is read again
    assert saved == sorted(saved)
    assert len(set(saved)) > 2
    return steps


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), sys.argv[2] == "fresh"))
