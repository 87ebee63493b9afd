"""A job on a pool, killed by SIGKILL before its k-th step, for many k; run by scripts in a process of their own.

Steps are all that the job does to files of the pool (made for writing, renamed into place, removed) and every block of
a view that stage 1 writes. Each run is a fork, so that a kill is real and start-up is paid once.
"""

import gc
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from modest.representation import embedding
from modest.training import fit
from tests.encoders.test_embed import content

WEIGHTS = [f"os.rename models/{name}/.model.safetensors.tmp" for name in ("stage1", "model")]


def in_fork(path, job, kill_at=None):
    """Exit status of a job in a fork: 0, or 9 when it was killed; its steps and epochs trained go through a pipe."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        steps, epochs = [], []

        def step(what):
            if len(steps) == kill_at:
                os.write(into, json.dumps([what, len(epochs)]).encode())
                os.kill(os.getpid(), signal.SIGKILL)
            steps.append(what)

        def hook(event, given):
            writes = event == "open" and str(given[1]).startswith("w")
            there = event == "os.rename" or (event in ("os.remove", "os.rmdir") and os.path.lexists(given[0]))
            if (writes or there) and str(path) in str(given[0]):
                step(f"{event} {Path(str(given[0])).relative_to(path)}")

        blocks, epoch = embedding.Representation._blocks, fit._epoch

        def stepped(self, whole, m, rows, device):
            for block in blocks(self, whole, m, rows, device):
                step(f"block of {self.names[m]}")
                yield block

        embedding.Representation._blocks = stepped
        fit._epoch = lambda *given: (epochs.append(1), epoch(*given))[1]
        sys.addaudithook(hook)
        try:
            job()
            os.write(into, json.dumps([steps, len(epochs)]).encode())
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent has to hear of it
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
    os.close(into)
    told = b""
    while piece := os.read(out, 65536):
        told += piece
    os.close(out)
    status = os.waitpid(child, 0)[1]
    return (9 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), json.loads(told or "[[], 0]")


def try_all(path, job, epochs, stride, learn=lambda: None, look=lambda: None):
    """Kill a job at many of its steps and run it again: always the same files.

    These are every ``stride``-th from the last one, and those that rename the pool's config or a model's weights.

    Parameters
    ----------
    path : the pool, as it is before the job; copied back each time
    job : what is run
    epochs : that an undisturbed run trains
    learn, look : called after the undisturbed run, and after every kill, for what a reader sees then

    Returns
    -------
    [step, epochs begun before the kill, epochs trained by the run after it] per kill.
    """
    before = path.with_name("before")
    shutil.copytree(path, before)
    gc.freeze()
    status, (steps, trained) = in_fork(path, job)
    assert (status, trained) == (0, epochs)
    learn()
    expected, killed = content(path), []
    named = {k for k, what in enumerate(steps) if what in ("os.rename .config.json.partial", *WEIGHTS)}
    for k in sorted(named.union(range(len(steps) - 1, -1, -stride)), reverse=True):
        shutil.rmtree(path)
        shutil.copytree(before, path)
        status, (what, begun) = in_fork(path, job, k)
        assert status == 9, k
        look()
        status, (_, more) = in_fork(path, job)
        assert status == 0, what
        found = content(path)
        assert found.keys() == expected.keys(), (what, found.keys() ^ expected.keys())
        odd = [name for name in expected if found[name] != expected[name]]
        assert not odd, (what, odd)
        assert not list(path.rglob(".*")), what
        killed.append([what, begun, more])
    return killed
