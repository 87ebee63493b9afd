"""DGL: whose gradient goes where, against concat, late, finite differences and a slow loop."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from modest.training import Batches, Plan, ready
from modest.training.fit import fit
from modest.types import Views
from tests.learning.test_recipes import NAMES, WIDTH, N, batch, build, joint, nll, slow_logits

THROUGH = ("own", "fusion")


def gradients(recipe, one):
    recipe.net.zero_grad(set_to_none=True)
    ((group, loss),) = recipe.turns(one)
    loss.backward()
    recipe.before_step(group)
    return {name: p.grad.clone() for name, p in recipe.net.named_parameters() if p.requires_grad}


def own_loss(recipe, one):
    """Sum of the modalities' own losses by plain loops, from the weights of the heads they speak through."""
    total = 0.0
    for m in range(3):
        block = recipe.towers.blocks(one)[m].detach().numpy()
        if len(recipe.own):
            W, b = recipe.own[m].weight.detach().numpy(), recipe.own[m].bias.detach().numpy()
        else:
            W = recipe.head.weight.detach().numpy()[:, m * WIDTH : (m + 1) * WIDTH]
            b = recipe.head.bias.detach().numpy() / 3
        rows = [i for i in range(N) if one.present[i, m]]
        total += np.mean([nll(W @ block[i] + b, int(one.y[i])) for i in rows])
    return total


@pytest.mark.parametrize("through", THROUGH)
def test_loss_equals_a_slow_loop(through):
    recipe, one = build("dgl", {"through": through, "alpha": 2.5}), batch()
    recipe.name = "concat"  # its joint head
    z = joint(recipe, slow_logits(recipe, one, "feature"))
    expected = np.mean([nll(row, label) for row, label in zip(z, one.y.numpy())]) + 2.5 * own_loss(recipe, one)
    ((_, loss),) = recipe.turns(one)
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(recipe.logits(one).fused.detach().numpy(), z, atol=1e-12)


@pytest.mark.parametrize("through", THROUGH)
def test_encoders_follow_the_own_losses_alone_by_finite_differences(through):
    recipe, one = build("dgl", {"through": through, "alpha": 2.5, "clip": None}, hidden=(7,)), batch()
    found = gradients(recipe, one)
    rng = np.random.default_rng(0)
    for name, p in recipe.towers.named_parameters():
        if p.requires_grad:
            flat = p.data.view(-1)
            for j in rng.choice(len(flat), size=min(3, len(flat)), replace=False):
                kept, step = float(flat[j]), 1e-6
                flat[j] = kept + step
                above = own_loss(recipe, one)
                flat[j] = kept - step
                slope = 2.5 * (above - own_loss(recipe, one)) / (2 * step)
                flat[j] = kept
                assert abs(slope - float(found[f"towers.{name}"].view(-1)[j])) < 1e-6, name


@pytest.mark.parametrize("through", THROUGH)
def test_the_joint_head_follows_the_joint_loss_alone(through):
    recipe, one = build("dgl", {"through": through, "clip": None}, hidden=(7,)), batch()
    blocks = recipe.towers.blocks(one).detach()
    loss = cross_entropy(recipe.head(torch.cat(list(blocks), dim=1)), one.y)
    expected = torch.autograd.grad(loss, list(recipe.head.parameters()))
    found = gradients(recipe, one)
    torch.testing.assert_close(found["head.weight"], expected[0], rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(found["head.bias"], expected[1], rtol=1e-12, atol=1e-15)
    assert expected[0].any()


def test_another_joint_head_changes_nothing_for_the_encoders():
    recipe, one = build("dgl", {"clip": None}), batch()
    before = gradients(recipe, one)
    with torch.no_grad():
        recipe.head.weight.mul_(-30)
    after = gradients(recipe, one)
    assert all(torch.equal(after[name], before[name]) for name in before if not name.startswith("head"))
    assert not torch.equal(after["head.weight"], before["head.weight"])


def test_encoders_are_those_of_late():
    """With alpha = 1 and no clipping, to the bit, over a training with momentum and decay."""
    one = batch()
    recipe, late = build("dgl", {"alpha": 1.0, "clip": None}, hidden=(7,)), build("late", hidden=(7,))
    for own, head in zip(recipe.own, late.heads):
        own.load_state_dict(head.state_dict())
    batches = Batches(
        ready(Views(dict(zip(NAMES, (x.numpy() for x in one.x)))), torch.float64),
        one.present.numpy(), np.arange(N), one.y.numpy(), 5,
    )  # fmt: skip
    started = late.towers.encoders[0].layers[0].weight.clone()
    for each in (recipe, late):
        for _ in fit(each.stages(), batches, Plan(epochs=4, lr=0.05, optimizer="sgd", weight_decay=0.01)):
            pass
    for (name, p), q in zip(recipe.towers.state_dict().items(), late.towers.state_dict().values()):
        assert torch.equal(p, q), name
    assert not torch.equal(late.towers.encoders[0].layers[0].weight, started)


def test_the_gradient_as_a_whole_is_shortened():
    one = batch()
    plain = gradients(build("dgl", {"clip": None}), one)
    norm = float(torch.cat([g.flatten() for g in plain.values()]).norm())
    short = gradients(build("dgl", {"clip": norm / 3}), one)
    for name, g in plain.items():
        torch.testing.assert_close(short[name], g / 3, rtol=1e-5, atol=1e-12)
    assert all(torch.equal(g, plain[name]) for name, g in gradients(build("dgl", {"clip": 3 * norm}), one).items())
    assert all(torch.equal(g, plain[name]) for name, g in gradients(build("dgl"), one).items())  # 40 is far away


@pytest.mark.parametrize(
    "options",
    [{"alpha": 0}, {"alpha": float("inf")}, {"clip": 0.0}, {"clip": float("nan")}, {"through": "x"}],
)
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build("dgl", options)
