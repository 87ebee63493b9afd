"""The one loop: order of steps, what a step touches, schedules, validation, errors; batches; checkpoints; runs."""

import itertools
import json

import numpy as np
import pytest
import torch
from torch import nn

from modest.training import (
    Batches,
    Plan,
    Run,
    drop_modalities,
    read_config,
    read_model,
    ready,
    restore,
    snapshot,
    write_model,
)
from modest.training.fit import fit
from modest.training.schedules import SCHEDULES
from modest.types import Record, Views


class Toy:
    """Two groups that share a layer; writes down what happens when."""

    name = "toy"

    def __init__(self, blow_up_at=None):
        generator = torch.Generator().manual_seed(0)
        self.net = nn.ParameterDict(
            {key: nn.Parameter(torch.randn(2, generator=generator)) for key in ("a", "b", "both", "idle")}
        )
        self.told, self.blow_up_at = [], blow_up_at

    def modules(self):
        return {g: nn.ParameterList([self.net[g], self.net["both"]]) for g in ("a", "b")}

    def turns(self, batch):
        for group in ("a", "b"):
            self.told.append(f"loss {group}")
            # the loss reaches every parameter; the loop must step those of the group only
            loss = sum((self.net[key] ** 2).sum() for key in self.net)
            if len(self.told) == self.blow_up_at:
                loss = loss * torch.nan
            before = {key: value.detach().clone() for key, value in self.net.items()}
            yield group, loss
            self.told.append("after " + " ".join(k for k, v in self.net.items() if not torch.equal(before[k], v)))

    def before_step(self, group):
        self.told.append(f"edit {group}")

    def logits(self, batch):
        raise NotImplementedError


def batches(n=6, size=3, **more):
    views = Views({"x": np.arange(2.0 * n).reshape(n, 2)})
    return Batches(ready(views), np.ones((n, 1), bool), np.arange(n), np.zeros(n, np.int64), size, **more)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_order_of_events_and_what_a_step_touches(optimizer):
    toy = Toy()
    records = list(fit([toy], batches(), Plan(epochs=2, lr=0.1, optimizer=optimizer, weight_decay=0.1)))
    round_ = ["loss a", "edit a", "after a both", "loss b", "edit b", "after b both"]
    assert toy.told == round_ * 4
    assert [r.step for r in records] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
    assert [r.epoch for r in records] == [0] * 5 + [1] * 5
    assert [r.values.get("turn") for r in records[:5]] == ["a", "b", "a", "b", None]
    epoch = records[4].values
    assert epoch["losses"]["a"] == pytest.approx(np.mean([records[0].values["loss"], records[2].values["loss"]]))
    assert all(x.values["loss"] > y.values["loss"] for x, y in itertools.pairwise(records[:4]))


def test_a_step_is_that_of_plain_sgd_with_momentum():
    toy = Toy()
    w, v = toy.net["a"].detach().clone(), torch.zeros(2)
    for record in fit([toy], batches(), Plan(epochs=3, lr=0.1, optimizer="sgd", momentum=0.9, weight_decay=0.01)):
        if record.values.get("turn") == "a":
            v = 0.9 * v + 2 * w + 0.01 * w
            w = w - 0.1 * v
            torch.testing.assert_close(toy.net["a"].detach(), w)


def test_best_epoch_is_kept_and_the_first_among_equals():
    toy, seen = Toy(), []
    ranks = iter([(0.5, 0.0), (0.9, 0.1), (0.9, 0.1), (0.2, 9.0)])

    def validate(task):
        seen.append(snapshot(task.net))
        return next(ranks), {"accuracy": 1.0}

    records = list(fit([toy], batches(), Plan(epochs=4, lr=0.1), validate))
    assert [r.values["best"] for r in records if "best" in r.values] == [True, True, False, False]
    assert records[-1].values["validation"] == {"accuracy": 1.0}
    assert all(torch.equal(toy.net[k], seen[1][k]) for k in seen[1])


def test_without_validation_the_last_epoch_stays():
    toy, ends = Toy(), []
    for record in fit([toy], batches(), Plan(epochs=3, lr=0.1)):
        if "best" in record.values:
            ends.append(snapshot(toy.net))
    assert all(torch.equal(toy.net[k], ends[-1][k]) for k in ends[-1])
    assert not torch.equal(ends[0]["a"], ends[-1]["a"])


def test_schedules_reach_the_steps():
    rates = [
        r.values["lr"] for r in fit([Toy()], batches(), Plan(epochs=4, lr=1e-3, schedule="cosine")) if "lr" in r.values
    ]
    expected = [1e-3 * 0.5 * (1 + np.cos(np.pi * s / 8)) for s in range(8) for _ in range(2)]
    np.testing.assert_allclose(rates, expected)
    assert [SCHEDULES["step"](s) for s in (0.0, 0.69, 0.7, 0.99)] == [1.0, 1.0, 0.1, 0.1]
    assert SCHEDULES["constant"](0.5) == 1.0


def test_nan_loss_names_turn_and_step():
    with pytest.raises(ValueError, match="turn 'b' became nan in epoch 0, step 4"):
        list(fit([Toy(blow_up_at=10)], batches(), Plan(epochs=2)))


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="no rows"):
        list(fit([Toy()], batches(n=0), Plan()))


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"lr": 0},
        {"lr": float("nan")},
        {"weight_decay": -1},
        {"momentum": 1},
        {"optimizer": "x"},
        {"schedule": "x"},
    ],
)
def test_plan_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Plan(**bad)


def test_progress_and_stages():
    calls = []
    list(fit([Toy(), Toy()], batches(), Plan(epochs=2), progress=lambda done, total: calls.append((done, total))))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_batches_cover_every_row_once_and_are_seeded():
    table = batches(n=10, size=4, seed=5)
    first = [b.x[0][:, 0].tolist() for b in table.epoch(0)]
    assert [len(part) for part in first] == [4, 4, 2]
    assert sorted(itertools.chain(*first)) == [2.0 * i for i in range(10)]
    assert first == [b.x[0][:, 0].tolist() for b in table.epoch(0)]
    assert first != [b.x[0][:, 0].tolist() for b in table.epoch(1)]
    plain = [b.x[0][:, 0].tolist() for b in batches(n=10, size=4, shuffle=False).epoch(1)]
    assert list(itertools.chain(*plain)) == [2.0 * i for i in range(10)]


def test_batches_read_memory_maps_and_tensors_and_zero_absent_rows(tmp_path):
    x = np.arange(12, dtype=np.float16).reshape(6, 2)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    views = Views({"a": mapped, "b": torch.from_numpy(x)})
    present = np.ones((6, 2), bool)
    present[2, 0] = False
    (one,) = Batches(ready(views), present, np.arange(6), size=6, shuffle=False).epoch()
    assert one.x[0].dtype == torch.float32
    assert one.x[0][2].tolist() == [0, 0]
    assert one.x[1][2].tolist() == [4, 5]
    assert mapped[2].tolist() == [4, 5]
    with pytest.raises(ValueError, match="no labels"):
        _ = one.labels


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_modality_dropout_never_drops_the_last(share):
    rng = np.random.default_rng(0)
    present = rng.random((4000, 3)) < 0.7
    kept = drop_modalities(present, share, rng)
    assert not (kept & ~present).any()
    assert np.array_equal(kept.any(axis=1), present.any(axis=1))
    two = present.sum(axis=1) == 2
    # two modalities, each dropped with p, one given back when both go: expected number kept
    expected = 2 * (1 - share) + share**2
    assert abs(kept[two].sum(axis=1).mean() - expected) < 4 / np.sqrt(two.sum())
    if share == 0:
        assert np.array_equal(kept, present)


def test_run_iterates_or_finishes():
    trained = []

    def records():
        for epoch in range(3):
            trained.append(epoch)
            yield Record("toy", epoch, epoch)

    run = Run(records(), lambda: tuple(trained))
    assert next(run).epoch == 0
    assert run.result == (0, 1, 2)
    assert list(run) == []


def test_a_run_that_failed_has_no_result():
    def records():
        yield Record("toy", 0, 0)
        raise ValueError("the loss became nan.")

    for ask in (lambda run: list(run), lambda run: run.result):
        run = Run(records(), lambda: "half trained")
        with pytest.raises(ValueError, match="became nan"):
            ask(run)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="became nan"):
                _ = run.result


def test_model_files(tmp_path):
    net = nn.Linear(3, 2)
    write_model(tmp_path / "m", net, {"kind": "toy", "format": 1, "name": "ü"})
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]
    config = read_config(tmp_path / "m", {"toy": 1})
    other = nn.Linear(3, 2)
    restore(other, read_model(tmp_path / "m", config))
    assert torch.equal(net.weight, other.weight)
    with pytest.raises(ValueError, match="does not fit"):
        restore(nn.Linear(4, 2), read_model(tmp_path / "m", config))
    with pytest.raises(ValueError, match="format 1, newer than 0"):
        read_config(tmp_path / "m", {"toy": 0})
    with pytest.raises(ValueError, match="kind 'toy', unknown"):
        read_config(tmp_path / "m", {"classifier": 1})


@pytest.mark.parametrize("cut", ["weights", "config", "no weights", "no config", "list"])
def test_damaged_model_files(tmp_path, cut):
    write_model(tmp_path, nn.Linear(3, 2), {"kind": "toy", "format": 1})
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    if cut == "weights":
        weights.write_bytes(weights.read_bytes()[:-5])
    elif cut == "config":
        config.write_text(config.read_text()[:-5])
    elif cut == "list":
        config.write_text(json.dumps([1]))
    else:
        (weights if cut == "no weights" else config).unlink()
    with pytest.raises(FileNotFoundError if cut.startswith("no ") else ValueError, match="save"):
        read_model(tmp_path, read_config(tmp_path, {"toy": 1}))


def test_a_save_cut_between_its_two_files_is_noticed(tmp_path):
    write_model(tmp_path, nn.Linear(3, 2), {"kind": "toy", "format": 1})
    old = (tmp_path / "config.json").read_bytes()
    write_model(tmp_path, nn.Linear(3, 2), {"kind": "toy", "format": 1})
    (tmp_path / "config.json").write_bytes(old)
    with pytest.raises(ValueError, match="does not belong"):
        read_model(tmp_path, read_config(tmp_path, {"toy": 1}))
