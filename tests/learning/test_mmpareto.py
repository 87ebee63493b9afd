"""MMPareto against a search over weights, hand-worked pairs, and gradients taken one loss at a time."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from modest.learning import Towers
from modest.learning.methods import METHODS
from modest.learning.mmpareto import least_norm, pareto
from modest.training import Batches, Plan, ready
from modest.training.fit import fit
from modest.types import Views
from tests.learning.test_recipes import CLASSES, NAMES, WIDTH, WIDTHS, N, batch, build


def pairs(count=40, d=5):
    rng = np.random.default_rng(4)
    for _ in range(count):
        a, u = rng.normal(size=(2, d)) * rng.uniform(0.1, 3, size=(2, 1))
        yield torch.from_numpy(a), torch.from_numpy(u)


def test_least_norm_is_what_a_search_finds():
    grid = torch.linspace(0, 1, 100001, dtype=torch.float64)[:, None]
    at_ends = 0
    for a, b in pairs():
        norms = (grid * a + (1 - grid) * b).norm(dim=1)
        w = least_norm(a, b)
        assert abs(w - float(grid[norms.argmin()])) < 1e-5
        assert float((w * a + (1 - w) * b).norm()) <= float(norms.min()) + 1e-12
        at_ends += w in (0.0, 1.0)
    assert 0 < at_ends < 40
    assert least_norm(torch.ones(2), torch.ones(2)) == 0.5


def slow(a, u, gamma):
    """The equations in numpy, w by search in three passes over a grid."""
    if a @ u > 0:
        h = a + u
    else:
        low, high = 0.0, 1.0
        for _ in range(3):
            grid = np.linspace(low, high, 2001)
            best = np.argmin([np.linalg.norm(w * a + (1 - w) * u) for w in grid])
            low, high = grid[max(best - 1, 0)], grid[min(best + 1, 2000)]
        h = (low + high) / 2 * a + (1 - (low + high) / 2) * u
    return gamma * np.linalg.norm(a + u) * h / np.linalg.norm(h)


def test_pareto_is_the_slow_loop_and_serves_both():
    odds = 0
    for a, u in pairs():
        found = pareto(a, u, 1.3)
        np.testing.assert_allclose(found.numpy(), slow(a.numpy(), u.numpy(), 1.3), rtol=1e-5, atol=1e-6)
        assert float(found.norm()) == pytest.approx(1.3 * float((a + u).norm()))
        assert float(found @ a) > 0
        assert float(found @ u) > 0
        if float(a @ u) <= 0:  # at the least norm both losses fall at the same rate
            odds += 1
            assert float(found @ a) == pytest.approx(float(found @ u))
    assert 5 < odds < 35


def test_pareto_by_hand():
    # at odds: a = (1, 0), u = (-1, 1): w = <u, u - a> / |u - a|^2 = 3 / 5, h = (0.2, 0.4), |a + u| = 1
    h = pareto(torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0]), 1.5)
    torch.testing.assert_close(h, 1.5 * torch.tensor([1.0, 2.0]) / 5**0.5)
    # agreed: the plain sum, gamma times as long, whatever the norms
    torch.testing.assert_close(
        pareto(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 5.0]), 2.0), torch.tensor([2.0, 12.0])
    )
    # at right angles counts as odds: w = 1 / 5
    h = pareto(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0]), 1.0)
    torch.testing.assert_close(h, torch.tensor([1.0, 2.0]))
    # opposed exactly, to rounding: rests
    a = torch.tensor([0.1, 0.7, -0.3])
    assert not pareto(a, -3 * a, 1.5).any()
    assert not pareto(a, -a, 1.5).any()


def test_scaling_one_loss_up_does_not_let_it_win():
    """In conflict the longer gradient counts less: the direction turns to the shorter one, unlike the sum's."""
    a, u = torch.tensor([1.0, 0.2]), torch.tensor([-1.0, 0.2])
    for k in (1.0, 10.0, 100.0):
        h = pareto(a, k * u, 1.0)
        assert float(h @ a) > 0
        assert float(h @ u) > 0
    assert float((a + 100 * u) @ a) < 0


def at_odds(options=None, seed=0, **how):
    """A recipe in which the first modality's own head says the contrary of the joint one."""
    recipe, one = build("mmpareto", options, **how), batch(seed)
    with torch.no_grad():
        recipe.own[0].weight.copy_(-4 * recipe.head.weight[:, :WIDTH])
    return recipe, one


def by_loss(recipe, one):
    """Gradients by name of the joint loss and of each own loss, from losses written down anew."""
    blocks = recipe.towers.blocks(one)
    losses = [cross_entropy(recipe.head(torch.cat(list(blocks), dim=1)), one.y)]
    for m in range(3):
        rows = one.present[:, m]
        losses.append(cross_entropy(recipe.own[m](blocks[m][rows]), one.y[rows]))
    names = [name for name, p in recipe.net.named_parameters() if p.requires_grad]
    parameters = [dict(recipe.net.named_parameters())[name] for name in names]
    for loss in losses:
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        yield {name: 0 * p if g is None else g for name, p, g in zip(names, parameters, found)}


def test_gradients_of_a_step_are_the_equations():
    recipe, one = at_odds({"gamma": 1.7}, hidden=(7,))
    joint, *own = by_loss(recipe, one)
    ((group, loss),) = recipe.turns(one)
    assert all(p.grad is None for p in recipe.net.parameters())
    loss.backward()
    recipe.before_step(group)
    angles = []
    for m in range(3):
        names = [name for name in joint if name.startswith(f"towers.encoders.{m}.")]
        assert len(names) == 4
        a = torch.cat([joint[name].flatten() for name in names]).numpy()
        u = torch.cat([own[m][name].flatten() for name in names]).numpy()
        found = torch.cat([recipe.net.get_parameter(name).grad.flatten() for name in names]).numpy()
        np.testing.assert_allclose(found, slow(a, u, 1.7), rtol=1e-5, atol=1e-7)
        assert not np.allclose(found, a + u)
        angles.append(a @ u)
    assert min(angles) < 0 < max(angles)
    assert recipe.notes() == {f"conflict/{name}": float(angle <= 0) for name, angle in zip(NAMES, angles)}
    for name in joint:  # the heads: plain gradients
        if not name.startswith("towers"):
            plain = joint[name] + sum(of[name] for of in own)
            torch.testing.assert_close(recipe.net.get_parameter(name).grad, plain, rtol=1e-12, atol=1e-14)


def test_a_step_of_the_loop_goes_there():
    recipe, one = at_odds()
    twin, _ = at_odds()
    ((group, loss),) = twin.turns(one)
    loss.backward()
    twin.before_step(group)
    batches = Batches(columns(one), one.present.numpy(), np.arange(N), one.y.numpy(), N, shuffle=False)
    for _ in fit(recipe.stages(), batches, Plan(epochs=1, lr=0.1, optimizer="sgd", momentum=0.0)):
        pass
    for (name, p), q in zip(recipe.net.named_parameters(), twin.net.parameters()):
        if p.requires_grad:
            torch.testing.assert_close(p, q - 0.1 * q.grad, rtol=1e-12, atol=1e-14, msg=name)


def columns(one):
    return ready(Views(dict(zip(NAMES, (x.numpy() for x in one.x)))), torch.float64)


def test_batches_put_together_make_the_step_of_one():
    """The own gradients of several batches are weighed as the loop weighs their losses (last step: 6 and 2 rows)."""
    rng = np.random.default_rng(0)
    views = Views({name: rng.normal(size=(20, d)) for name, d in zip(NAMES, WIDTHS)})
    y = rng.integers(CLASSES, size=20)
    nets = []
    for size, accumulate in ((12, 1), (6, 2)):
        recipe, _ = at_odds()
        batches = Batches(ready(views, torch.float64), np.ones((20, 3), dtype=bool), np.arange(20), y, size)
        for _ in fit(recipe.stages(), batches, Plan(epochs=3, lr=0.3, optimizer="sgd", accumulate=accumulate)):
            pass
        nets.append(recipe.net.state_dict())
    for name, tensor in nets[0].items():
        torch.testing.assert_close(nets[1][name], tensor, rtol=1e-9, atol=1e-11, msg=name)


def test_noting_the_own_gradients_leaves_those_gathered_alone():
    recipe, one = at_odds()
    for p in recipe.net.parameters():
        p.grad = torch.full_like(p, 2.0) if p.requires_grad else None
    kept = [p.grad for p in recipe.net.parameters()]
    next(recipe.turns(one))
    assert all(a is b for a, b in zip(kept, (p.grad for p in recipe.net.parameters())))
    assert all(g is None or bool((g == 2).all()) for g in kept)


def test_turns_that_no_step_followed_are_forgotten_with_the_epoch():
    found = []
    for looked_before in (True, False):
        recipe, one = at_odds()
        if looked_before:
            list(recipe.turns(batch(9)))
        ((group, loss),) = recipe.turns(one)
        loss.backward()
        recipe.before_step(group)
        found.append([p.grad for p in recipe.net.parameters() if p.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(*found))


def test_an_absent_modality_and_a_frozen_encoder_are_left_alone():
    recipe, one = build("mmpareto"), batch(absent=[1])
    for p in recipe.towers.encoders[2].parameters():
        p.requires_grad_(False)
    ((group, loss),) = recipe.turns(one)
    loss.backward()
    recipe.before_step(group)
    for m in (1, 2):
        assert all(p.grad is None for p in recipe.towers.encoders[m].parameters())
    assert recipe.towers.encoders[0].layers[0].weight.grad.any()
    assert set(recipe.notes()) == {"conflict/image"}


def test_with_one_modality_there_are_still_two_losses():
    generator = torch.Generator().manual_seed(0)
    recipe = METHODS["mmpareto"].build(Towers.over((4,), 5, generator), ("a",), 2, generator)
    assert len(recipe.own) == 1
    x = torch.randn(6, 4, generator=generator)
    batches = Batches(ready(Views({"a": x.numpy()})), np.ones((6, 1), dtype=bool), np.arange(6), np.arange(6) % 2, 3)
    told = [r for r in fit(recipe.stages(), batches, Plan(epochs=2)) if "losses" in r.values]
    assert set(told[-1].values["notes"]) == {"conflict/a"}


@pytest.mark.parametrize("gamma", [0, -1.0, float("inf"), float("nan")])
def test_gamma_is_checked(gamma):
    with pytest.raises(ValueError, match="gamma"):
        build("mmpareto", {"gamma": gamma})
