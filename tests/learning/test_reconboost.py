"""ReconBoost: its schedule, targets by hand and by loops, who moves when, and what is remembered."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from modest.learning import Towers
from modest.learning.methods import METHODS
from modest.learning.reconboost import Options, residual
from modest.training import Batches, Kept, Plan, ready
from modest.training.fit import fit
from modest.types import Views
from tests.learning.test_recipes import CLASSES, NAMES, N, batch, build, nll, slow_logits

SHORT = {"stage_epochs": 1, "rectify_epochs": 1}


def data(one, size=5):
    views = Views(dict(zip(NAMES, (x.numpy() for x in one.x))))
    return Batches(ready(views, torch.float64), one.present.numpy(), np.arange(N), one.y.numpy(), size)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_the_cycle():
    options = Options(stage_epochs=3, rectify_epochs=2)
    once = [(0, False), (0, False), (0, True), (1, False), (1, False), (1, True), (None, False), (None, False)]
    assert [options.stage(epoch, 2) for epoch in range(24)] == 3 * once
    without = Options(stage_epochs=1, rectify_epochs=0)
    assert [without.stage(epoch, 3) for epoch in range(6)] == 2 * [(0, True), (1, True), (2, True)]
    assert [Options(2, 3).stage(epoch, 1)[0] for epoch in range(6)] == [0, 0, None, None, None, 0]


def test_residual_by_hand():
    # the others say softmax(log 3, 0) = (3/4, 1/4); nobody else speaks in the last row
    z = torch.tensor([[3.0, 1.0], [3.0, 1.0], [3.0, 1.0]]).log()
    some = torch.tensor([True, True, False])
    found = residual(torch.tensor([0, 1, 1]), z, some, 0.4, signed=True)
    torch.testing.assert_close(found, torch.tensor([[0.7, -0.1], [-0.3, 0.9], [0.0, 1.0]]))
    torch.testing.assert_close(residual(torch.tensor([0]), z[:1], some[:1], 1.0, signed=True).sum(), torch.tensor(0.0))
    torch.testing.assert_close(
        residual(torch.tensor([0, 1, 1]), z, some, 0.4), torch.tensor([[0.7, 0.0], [0.0, 0.9], [0.0, 1.0]])
    )


def slow_target(own, one, k, i, options, said=None):
    others = [own[m, i] for m in range(3) if m != k and one.present[i, m]]
    t = np.eye(CLASSES)[int(one.y[i])]
    if others:
        t = t - options.reconcile * softmax(np.sum(others, axis=0))
        t = t if options.signed else np.maximum(t, 0)
    return t if said is None else t + options.memory * said[i]


def slow_loss(recipe, one, k, said=None):
    recipe.net.add_module("heads", recipe.head)  # the names by which the slow loop asks
    own = slow_logits(recipe, one, "feature")
    if k is None:
        return np.mean([nll(np.nansum(own[:, i], axis=0), int(one.y[i])) for i in range(N)])
    rows = [i for i in range(N) if one.present[i, k]]
    return np.mean([-slow_target(own, one, k, i, recipe.options, said) @ np.log(softmax(own[k, i])) for i in rows])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_loss_equals_a_slow_loop(epoch, signed):
    recipe = build("reconboost", {**SHORT, "reconcile": 0.7, "signed": signed})
    one = replace(batch(), epoch=epoch)
    k = epoch if epoch < 3 else None
    ((group, loss),) = recipe.turns(one)
    assert group == (NAMES[k] if k is not None else "all")
    assert float(loss.detach()) == pytest.approx(slow_loss(recipe, one, k), abs=1e-12)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_with_a_memory_the_loss_equals_a_slow_loop(k):
    recipe = build("reconboost", {**SHORT, "memory": 1.5})
    rows = torch.arange(N).flip(0) + 30  # of the table
    one = replace(batch(), rows=rows, epoch=k)
    said = softmax(np.random.default_rng(5).normal(size=(N, CLASSES)))
    said[:4] = 0.0  # nothing is known of these
    recipe.remembered = torch.zeros(36, 3, CLASSES, dtype=torch.float64)
    for i, row in enumerate(rows.tolist()):
        if row < 36:
            recipe.remembered[row, k] = torch.from_numpy(said[i])
        else:
            said[i] = 0.0
    ((_, loss),) = recipe.turns(one)
    assert float(loss.detach()) == pytest.approx(slow_loss(recipe, one, k, said), abs=1e-12)
    assert abs(float(loss.detach()) - slow_loss(recipe, one, k)) > 1e-3


def test_the_signed_target_is_fit_reconciliation_and_memory():
    """-t log p = CE(p, y) - rho KL(q || p) + mu KL(p_old || p) + constants, so differences between two p agree."""
    rng = np.random.default_rng(0)
    q, old = softmax(rng.normal(size=(2, 4)))
    rho, mu, y = 0.6, 0.3, 2
    said = torch.from_numpy(np.log(q))[None]
    t = residual(torch.tensor([y]), said, torch.tensor([True]), rho, signed=True)[0].numpy() + mu * old

    def both(p):
        parts = -np.log(p[y]) - rho * (q * np.log(q / p)).sum() + mu * (old * np.log(old / p)).sum()
        return -(t * np.log(p)).sum(), parts

    (a, b), (c, d) = (both(softmax(rng.normal(size=4))) for _ in range(2))
    assert a - c == pytest.approx(b - d, abs=1e-12)


def test_signed_with_rho_one_the_gradient_is_the_residual_of_the_others():
    """By the logits it is (q - y) / n: what boosting descends; no own confidence can switch it off."""
    recipe, one = build("reconboost", {"reconcile": 1.0, "memory": 0.0, "signed": True}), batch()
    one = replace(one, present=torch.ones_like(one.present))
    spoken = {}
    recipe.heads[0].register_forward_hook(lambda *call: spoken.setdefault("z", call[2]).retain_grad())
    ((_, loss),) = recipe.turns(one)
    loss.backward()
    own = recipe.logits(one).modality.detach()
    expected = (torch.softmax(own[1] + own[2], dim=1) - torch.eye(CLASSES)[one.y]) / N
    torch.testing.assert_close(spoken["z"].grad, expected.double())


@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_gradients_of_a_turn_match_finite_differences(epoch):
    """Of the loss as a function of the stage's modality; of all parameters when all are rectified."""
    recipe, one = build("reconboost", SHORT, hidden=(7,)), replace(batch(), epoch=epoch)
    ((group, loss),) = recipe.turns(one)
    loss.backward()
    moved = {id(p) for p in recipe.modules()[group].parameters()}
    rng = np.random.default_rng(0)
    for name, p in recipe.net.named_parameters():
        if id(p) not in moved:
            assert p.grad is None, name
        elif p.requires_grad:
            flat = p.data.view(-1)
            for j in rng.choice(len(flat), size=min(3, len(flat)), replace=False):
                kept, step = float(flat[j]), 1e-6
                ends = []
                for value in (kept + step, kept - step):
                    flat[j] = value
                    ends.append(float(next(recipe.turns(one))[1].detach()))
                flat[j] = kept
                assert abs((ends[0] - ends[1]) / (2 * step) - float(p.grad.view(-1)[j])) < 1e-7, name


def test_only_the_stage_s_modality_moves():
    recipe, one = build("reconboost", SHORT), batch()

    def state():
        return {name: p.detach().clone() for name, p in recipe.net.named_parameters() if p.requires_grad}

    before, told = state(), []
    for record in fit(recipe.stages(), data(one), Plan(epochs=8, lr=0.1, weight_decay=0.1)):
        if "losses" in record.values:
            after = state()
            told.append((set(record.values["losses"]), {n for n in after if not torch.equal(after[n], before[n])}))
            before = after
    for epoch, (groups, moved) in enumerate(told):
        k = epoch % 4
        mine = {n for n in before if f"encoders.{k}." in n or n.startswith(f"head.{k}.")} if k < 3 else set(before)
        assert groups == ({NAMES[k]} if k < 3 else {"all"})
        assert moved == mine
        assert moved


def test_one_modality_without_memory_is_plain_training():
    nets = []
    for method, options in (("reconboost", {"memory": 0.0}), ("late", {})):
        generator = torch.Generator().manual_seed(0)
        towers = Towers.over((4,), 6, generator, dtype=torch.float64)
        recipe = METHODS[method].build(towers, ("a",), 3, generator, options)
        x = np.random.default_rng(0).normal(size=(20, 4))
        columns = ready(Views({"a": x}), torch.float64)
        batches = Batches(columns, np.ones((20, 1), dtype=bool), np.arange(20), np.arange(20) % 3)
        for _ in fit(recipe.stages(), batches, Plan(epochs=9, lr=0.1, optimizer="sgd")):
            pass
        nets.append(list(recipe.net.state_dict().values()))
    for a, b in zip(*nets):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_prediction_is_the_softmax_of_the_sum():
    recipe, one = build("reconboost"), batch()
    found = recipe.logits(one)
    torch.testing.assert_close(found.fused, found.modality.sum(dim=0))
    assert not found.modality.transpose(0, 1)[~one.present].any()
    torch.testing.assert_close(found.weights, one.present.double() / one.present.sum(dim=1, keepdim=True))


def test_what_is_remembered():
    """In the last epoch of a stage, of the rows the modality is in, what it said before the step; nothing else."""
    recipe, one = build("reconboost", {"stage_epochs": 2, "rectify_epochs": 1}), batch()
    rows = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:N]
    last = []
    for epoch in range(7):
        now = replace(one, rows=rows, epoch=epoch)
        before = recipe.remembered.clone()
        own = recipe.logits(one).modality.detach()
        for _ in recipe.turns(now):
            with torch.no_grad():  # a step
                for p in recipe.net.parameters():
                    p.add_(0.01)
        k = (epoch // 2) if epoch % 2 and epoch < 6 else None
        if k is None:
            assert torch.equal(recipe.remembered[: len(before)], before)
            assert not recipe.remembered[len(before) :].any()
            continue
        expected = torch.zeros(40, CLASSES)
        expected[rows[one.present[:, k]]] = torch.softmax(own[k], dim=1).float()[one.present[:, k]]
        torch.testing.assert_close(recipe.remembered[:, k], expected[: len(recipe.remembered)])
        assert torch.equal(recipe.remembered[: len(before), :k], before[:, :k])
        last.append(k)
    assert last == [0, 1, 2]


def test_without_its_weight_nothing_is_remembered():
    recipe = build("reconboost", {**SHORT, "memory": 0.0})
    for _ in fit(recipe.stages(), data(batch()), Plan(epochs=5)):
        pass
    assert len(recipe.remembered) == 0


def test_a_cut_run_goes_on_with_its_memory(tmp_path):
    """Cut in the second cycle, where the memory of the first is in use."""
    one, plan, kept = batch(), Plan(epochs=8, lr=0.1), Kept(tmp_path / "run", "same")
    nets = []
    for cut in (None, 5):
        recipe = build("reconboost", SHORT)
        for record in fit(recipe.stages(), data(one), plan, kept=None if cut is None else kept):
            if "losses" in record.values and record.epoch == cut:
                break
        nets.append(recipe)
    again = build("reconboost", SHORT)
    for _ in fit(again.stages(), data(one), plan, kept=kept):
        pass
    assert torch.equal(again.remembered, nets[0].remembered)
    for name, tensor in nets[0].net.state_dict().items():
        assert torch.equal(again.net.state_dict()[name], tensor), name
    forgetful = build("reconboost", {**SHORT, "memory": 0.0})
    for _ in fit(forgetful.stages(), data(one), plan):
        pass
    assert not torch.equal(forgetful.head[0].weight, nets[0].head[0].weight)  # it was in use


def test_the_others_are_asked_as_they_predict():
    """No running mean of a resting encoder moves, its dropout is off, and it goes on training afterwards."""
    generator = torch.Generator().manual_seed(0)
    encoders = [nn.Sequential(nn.Linear(d, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)) for d in (4, 3)]
    recipe = METHODS["reconboost"].build(Towers(encoders, 6), ("a", "b"), 2, generator, {})
    x = torch.randn(8, 7, generator=generator)
    one = batch()
    one = replace(one, x=(x[:, :4], x[:, 4:]), present=torch.ones(8, 2, dtype=torch.bool), y=torch.arange(8) % 2)
    recipe.net.train()
    others = [recipe._others(one, 0)[0] for _ in range(2)]
    assert torch.equal(*others)
    list(recipe.turns(one))
    assert encoders[0][1].running_mean.any()
    assert not encoders[1][1].running_mean.any()
    assert all(module.training for module in recipe.net.modules())
    recipe.net.eval()
    list(recipe.turns(one))
    assert not any(module.training for module in recipe.net.modules())


@pytest.mark.parametrize(
    "options",
    [{"stage_epochs": 0}, {"stage_epochs": 1.5}, {"rectify_epochs": -1}, {"reconcile": 1.1},
     {"reconcile": float("nan")}, {"memory": -0.1}, {"memory": float("inf")}],
)  # fmt: skip
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build("reconboost", options)
