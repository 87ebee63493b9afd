"""Two processes over gloo: rows gathered with their gradient, gradients and running means averaged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modest.training import World

WORKER = """
import json, sys
import torch
import torch.distributed as dist
from modest.training import World
torch.set_num_threads(1)
rank, place = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
here = World(rank, 2)
told = {}
norm = torch.nn.BatchNorm1d(2)
norm.running_mean += rank
norm.running_var *= 1 + 2 * rank
here.average_buffers(norm)
told["mean"], told["var"] = norm.running_mean.tolist(), norm.running_var.tolist()
told["count"] = norm.num_batches_tracked.tolist()
x = torch.arange(2.0 + rank).reshape(-1, 1).requires_grad_()  # two rows here, three there
whole = here.gather(x)
told["rows"] = whole.detach()[:, 0].tolist()
(whole * torch.arange(1.0, 6.0).reshape(-1, 1)).sum().backward()
told["grad"] = x.grad[:, 0].tolist()
net = torch.nn.Linear(1, 1, bias=False)
if rank:  # the other process has no gradient of it
    net.weight.grad = torch.full((1, 1), 4.0)
here.average_gradients(net)
told["averaged"] = net.weight.grad.tolist()
idle = torch.nn.Linear(1, 1)
here.average_gradients(idle)
told["idle"] = idle.weight.grad is None
told["shared"] = here.share(torch.full((2,), float(rank) + 7)).tolist()
told["mask"] = here.gather(torch.tensor([rank == 0])).tolist()
open(f"{place}/{rank}.json", "w").write(json.dumps(told))
here.wait()
dist.destroy_process_group()
"""


def test_two_processes(tmp_path):
    about = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "GLOO_SOCKET_IFNAME": "lo"}
    run = [sys.executable, "-c", WORKER]
    both = [subprocess.Popen([*run, str(r), str(tmp_path)], env=about, stderr=subprocess.PIPE) for r in (0, 1)]
    for one in both:
        _, error = one.communicate(timeout=120)
        assert one.returncode == 0, error.decode()[-2000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    for told in (first, second):
        assert told["mean"] == [0.5, 0.5]
        assert told["var"] == [2.0, 2.0]
        assert told["count"] == 0
        assert told["rows"] == [0, 1, 0, 1, 2]
        assert told["averaged"] == [[2.0]]
        assert told["idle"]
        assert told["shared"] == [7.0, 7.0]
        assert told["mask"] == [True, False]
    assert (first["grad"], second["grad"]) == ([2.0, 4.0], [6.0, 8.0, 10.0])  # of both processes' equal losses


def test_one_process_gives_back_what_it_was_given():
    alone, x, norm = World(), torch.ones(2), torch.nn.BatchNorm1d(2)
    assert alone.gather(x) is x
    assert alone.share(x) is x
    norm.running_mean += 3
    alone.average_buffers(norm)
    alone.average_gradients(norm)
    assert norm.running_mean.tolist() == [3, 3]
    assert norm.weight.grad is None
    assert alone.main


def test_the_loop_averages_running_means_after_every_epoch_before_it_is_evaluated():
    from modest.training import Plan
    from modest.training.fit import fit
    from tests.training.test_loop_options import Line, batches

    told = []

    class Watched(World):
        def average_buffers(self, net):
            told.append("averaged")

    def validate(task):
        told.append("evaluated")
        return (0.0,), {}

    list(fit([Line()], batches(), Plan(epochs=2), validate, world=Watched()))
    assert told == ["averaged", "evaluated"] * 2


@pytest.mark.parametrize("size", ["1", None])
def test_without_torchrun_there_is_one_process(monkeypatch, size):
    from modest.training import world

    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if size:
        monkeypatch.setenv("WORLD_SIZE", size)
    assert world() == World(0, 1)
