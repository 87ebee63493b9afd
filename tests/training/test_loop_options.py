"""The loop beyond its plain form: warm-up, rates, accumulation, bf16, dropout, cut runs taken up, reading ahead."""

import itertools
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from modest.encoders.towers import Tower
from modest.learning import METHODS, Towers
from modest.training import Batches, Kept, Plan, Ready, ready, snapshot, weights_hash
from modest.training.fit import fit
from modest.training.plan import optimiser
from modest.types import Views


class Line:
    """Least squares with dropout on the way in."""

    name = "line"

    def __init__(self, dropout=0.0, dtype=torch.float64):
        layer = nn.Linear(3, 1, dtype=dtype)
        with torch.no_grad():
            layer.weight.fill_(0.5)
            layer.bias.zero_()
        self.net = nn.ModuleDict({"drop": nn.Dropout(dropout), "line": layer})

    def modules(self):
        return {"all": self.net}

    def turns(self, batch):
        guess = self.net["line"](self.net["drop"](batch.x[0]))[:, 0]
        yield "all", mse_loss(guess, batch.labels.to(guess.dtype))

    def before_step(self, group):
        pass


def batches(n=12, size=4, **more):
    x = np.random.default_rng(0).standard_normal((n, 3))
    columns = ready(Views({"x": x}), torch.float64)
    return Batches(columns, np.ones((n, 1), bool), np.arange(n), np.arange(n) % 3, size, **more)


def weights(task):
    return torch.cat([p.detach().ravel() for p in task.net.parameters()])


def test_warm_up_grows_per_step_and_then_the_schedule_begins():
    plan = Plan(epochs=5, warmup=2, schedule="cosine")
    got = [plan.factor(e, i, 4) for e in range(5) for i in range(4)]
    assert got[:8] == pytest.approx([(k + 1) / 8 for k in range(8)])
    assert got[8:] == pytest.approx([0.5 * (1 + np.cos(np.pi * k / 12)) for k in range(12)])
    rates = [r.values["lr"] for r in fit([Line()], batches(), Plan(epochs=3, warmup=1, lr=0.3)) if "lr" in r.values]
    assert rates == pytest.approx([0.1, 0.2, 0.3, *[0.3] * 6])


def test_rates_go_by_the_longest_prefix_and_reach_the_steps():
    net = nn.ModuleDict({"a": nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)]), "b": nn.Linear(1, 1)})
    groups = optimiser(net, Plan(lr=1.0, rates={"a": 0.1, "a.1": 0.01})).param_groups
    found = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert [found[id(p)] for p in net.parameters()] == [0.1, 0.1, 0.01, 0.01, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"'c'.*there are a\.0, a\.1, b"):
        optimiser(net, Plan(rates={"c": 1.0}))
    one, two = Line(), Line()
    before = weights(one)
    list(fit([one], batches(), Plan(epochs=1, lr=0.1, optimizer="sgd", momentum=0, rates={"line.bias": 1e-12})))
    list(fit([two], batches(), Plan(epochs=1, lr=0.1, optimizer="sgd", momentum=0)))
    assert abs(float(weights(one)[3] - before[3])) < 1e-10
    assert abs(float(weights(two)[3] - before[3])) > 1e-3


def test_accumulated_batches_are_one_large_batch():
    together, apart = Line(), Line()
    plan = {"epochs": 3, "lr": 0.05, "weight_decay": 0.01}
    large, small = (
        [record.values["loss"] for record in records if "loss" in record.values]
        for records in (
            fit([together], batches(10, 8, shuffle=False), Plan(**plan)),
            fit([apart], batches(10, 4, shuffle=False), Plan(**plan, accumulate=2)),
        )
    )
    # 10 rows: batches of 8 and 2 against 4 + 4 and 2, weighted by rows
    assert small == pytest.approx(large, abs=1e-12)
    torch.testing.assert_close(weights(together), weights(apart), rtol=0, atol=1e-12)


def test_several_turns_cannot_be_accumulated():
    towers = Towers([Tower(2, 4, torch.Generator().manual_seed(0)) for _ in range(2)], 4)
    recipe = METHODS["mla"].build(towers, ["a", "b"], 2, torch.Generator().manual_seed(0))
    views = Views({m: np.ones((8, 2), np.float32) for m in "ab"})
    rows = Batches(ready(views), np.ones((8, 2), bool), np.arange(8), np.arange(8) % 2, 2)
    with pytest.raises(ValueError, match="accumulate=2 needs a task of one turn"):
        list(fit(recipe.stages(), rows, Plan(epochs=1, accumulate=2)))


def test_dropout_is_drawn_from_the_seed_and_the_step_and_leaves_torch_alone():
    ends = []
    for state in (1, 2):
        task = Line(dropout=0.5)
        torch.default_generator.manual_seed(state)
        before = torch.get_rng_state()
        list(fit([task], batches(), Plan(epochs=2, lr=0.1, seed=7)))
        assert torch.equal(torch.get_rng_state(), before)
        ends.append(weights(task))
    assert torch.equal(*ends)
    other = Line(dropout=0.5)
    list(fit([other], batches(), Plan(epochs=2, lr=0.1, seed=8)))
    assert not torch.equal(ends[0], weights(other))


def test_autocast_multiplies_in_bf16():
    seen = []

    class Cast(Line):
        def turns(self, batch):
            seen.append(self.net["line"](batch.x[0].float()).dtype)
            yield from super().turns(batch)

    for flag in (False, True):
        task = Cast(dtype=torch.float32)
        list(fit([task], batches_single(), Plan(epochs=1, autocast=flag)))
    assert set(seen[: len(seen) // 2]) == {torch.float32}
    assert set(seen[len(seen) // 2 :]) == {torch.bfloat16}


def batches_single():
    x = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    return Batches((Ready(x),), np.ones((12, 1), bool), np.arange(12), np.arange(12) % 3, 4)


def mla():
    generator = torch.Generator().manual_seed(0)
    towers = Towers([Tower(2, 4, generator, (3,)) for _ in range(2)], 4)
    return METHODS["mla"].build(towers, ["a", "b"], 2, generator)


def two_views(**more):
    rng = np.random.default_rng(1)
    views = Views({m: rng.standard_normal((16, 2)).astype(np.float32) for m in "ab"})
    return Batches(ready(views), np.ones((16, 2), bool), np.arange(16), np.arange(16) % 2, 4, **more)


def rising(task):
    """A validation whose best epoch is the second: its net must survive the cut."""
    rising.calls += 1
    return (1.0 if rising.calls == 2 else 0.0,), {"calls": rising.calls}


@pytest.mark.parametrize("cut", [0, 1, 2, 4])
@pytest.mark.parametrize("kind", ["dropout", "mla"])
def test_a_cut_run_goes_on_to_the_same_bits(tmp_path, kind, cut):
    make, data = (lambda: Line(dropout=0.3), batches) if kind == "dropout" else (mla, two_views)
    plan = Plan(epochs=5, lr=0.05, weight_decay=0.1, warmup=1, schedule="cosine", seed=3)
    rising.calls = 0
    whole = make()
    stages = [whole] if kind == "dropout" else whole.stages()
    told = [r for r in fit(stages, data(), plan, rising) if "losses" in r.values]
    kept = Kept(tmp_path / "run.safetensors", "digest")
    rising.calls = 0
    first = make()
    for record in fit([first] if kind == "dropout" else first.stages(), data(), plan, rising, kept=kept):
        if "losses" in record.values and record.epoch == cut:
            break
    second = make()
    again = list(fit([second] if kind == "dropout" else second.stages(), data(), plan, rising, kept=kept))
    assert [r for r in again if "losses" in r.values] == told
    a, b = snapshot(whole.net), snapshot(second.net)
    assert all(torch.equal(a[name], b[name]) for name in a)
    if kind == "mla":
        assert torch.equal(whole.projector.matrix, second.projector.matrix)
        assert whole.projector.updates == second.projector.updates > 0


def test_a_run_of_two_stages_keeps_both_nets(tmp_path):
    plan = Plan(epochs=2, lr=0.05)
    whole = [Line(), Line(dropout=0.2)]
    list(fit(whole, batches(), plan))
    kept, first, second = Kept(tmp_path / "r", "x"), [Line(), Line(0.2)], [Line(), Line(0.2)]
    for record in fit(first, batches(), plan, kept=kept):
        if "losses" in record.values and torch.equal(weights(first[0]), weights(whole[0])):
            break
    list(fit(second, batches(), plan, kept=kept))
    assert all(torch.equal(weights(a), weights(b)) for a, b in zip(whole, second))


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "run"
    list(fit([Line()], batches(), Plan(epochs=1), kept=Kept(path, "a")))
    with pytest.raises(ValueError, match="other settings or data"):
        list(fit([Line()], batches(), Plan(epochs=1), kept=Kept(path, "b")))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="damaged"):
        list(fit([Line()], batches(), Plan(epochs=1), kept=Kept(path, "a")))


class Slow:
    """A column that decodes: eager, some rows unreadable."""

    shape, eager = (2,), True

    def __init__(self, broken=(), fail=None):
        self.broken, self.fail, self.asked = set(broken), fail, []

    def block(self, rows, epoch):
        self.asked.append((tuple(rows.tolist()), epoch))
        if self.fail is not None and self.fail in rows:
            raise OSError("the disk is gone")
        read = np.array([row not in self.broken for row in rows], dtype=bool)
        return torch.from_numpy(np.stack([rows, rows], 1).astype(np.float32).reshape(-1, 2)), read


def test_unreadable_rows_become_absent_and_zero():
    present = np.ones((6, 2), bool)
    present[4, 0] = False
    table = Batches((Slow(broken=[1]), Slow()), present, np.arange(6), size=3, shuffle=False)
    a, b = table.epoch(2)
    assert a.present[:, 0].tolist() == [True, False, True]
    assert a.x[0].tolist() == [[0, 0], [0, 0], [2, 2]]
    assert b.present.tolist() == [[True, True], [False, True], [True, True]]
    assert b.rows.tolist() == [3, 4, 5]
    assert present[1, 0]  # the table's own mask is not touched
    assert table.columns[0].asked == [((0, 1, 2), 2), ((3, 5), 2)]
    still = Batches((Slow(),), np.ones((3, 1), bool), np.arange(3), augment=False)
    list(still.epoch(5))
    assert [epoch for _, epoch in still.columns[0].asked] == [None]


def test_reading_ahead_gives_the_same_and_hands_over_errors():
    slow = Batches((Slow(),), np.ones((20, 1), bool), np.arange(20), size=3, seed=4)
    plain = Batches((Ready(np.stack([np.arange(20.0)] * 2, 1)),), np.ones((20, 1), bool), np.arange(20), size=3, seed=4)
    assert [b.x[0].tolist() for b in slow.epoch(1)] == [b.x[0].tolist() for b in plain.epoch(1)]
    with pytest.raises(OSError, match="the disk is gone"):
        list(Batches((Slow(fail=13),), np.ones((20, 1), bool), np.arange(20), size=3).epoch())
    before = threading.active_count()
    left = slow.epoch()
    next(left)
    assert threading.active_count() == before + 1
    left.close()  # a reader that stops early leaves no thread behind
    assert threading.active_count() == before


def test_parts_of_processes_are_the_batches_of_one():
    whole = [b.rows.tolist() for b in two_views(seed=2).epoch(3)]
    parts = [[b.rows.tolist() for b in two_views(seed=2, part=(r, 3)).epoch(3)] for r in range(3)]
    assert [sorted(itertools.chain(*rows)) for rows in zip(*parts)] == [sorted(rows) for rows in whole]
    assert len(two_views(whole=True)) == 4
    full = Batches((Slow(),), np.ones((10, 1), bool), np.arange(10), size=4, whole=True)
    assert [len(batch) for batch in full.epoch()] == [4, 4]


@pytest.mark.parametrize(
    "bad",
    [{"warmup": 100}, {"betas": (0.9, 1.0)}, {"accumulate": 0}, {"rates": {"a": -1.0}}, {"warmup": -1}, {"seed": -1}],
)
def test_plan_refuses_more(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Plan(**bad)


def test_a_hash_of_weights_goes_by_names_and_values_alone():
    def net(order=("a", "b"), value=1.0):
        made = torch.nn.Module()
        for name in order:
            made.register_parameter(name, torch.nn.Parameter(torch.full((2,), value)))
        made.register_buffer("mean", torch.zeros(3))
        return made

    told = weights_hash(net())
    assert weights_hash(net(("b", "a"))) == told
    assert weights_hash(net(("a", "c"))) != told
    assert weights_hash(net(value=1.0 + 1e-7)) != told
    other = net()
    other.mean[1] = 1e-30
    assert weights_hash(other) != told
