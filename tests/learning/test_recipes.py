"""The examination that every recipe of METHODS sits.

A recipe other than concat, late and mla is compared with its own equations in a file of its own.
"""

import numpy as np
import pytest
import torch

from modest import MultimodalClassifier
from modest.learning import METHODS, Towers
from modest.learning.towers import FILLS
from modest.training import Batch, Batches, Plan, ready
from modest.training.fit import fit
from modest.types import Views

WIDTHS, WIDTH, CLASSES, N = (4, 3, 5), 6, 3, 14
NAMES = ("image", "text", "audio")
SLOW = [
    ("concat", {}),
    ("late", {}),
    ("mla", {}),
    ("mla", {"alternate": False}),
    ("mla", {"project": False, "fusion": "mean"}),
    ("late", {"head": "shared"}),
    ("late", {"fusion": "entropy"}),
]
# every recipe, and its variants
VARIANTS = [(name, {}) for name in METHODS if name not in ("concat", "late", "mla")] + SLOW


def build(method, options=None, fill="feature", hidden=(), seed=3):
    generator = torch.Generator().manual_seed(seed)
    towers = Towers.over(WIDTHS, WIDTH, generator, hidden, fill, torch.float64)
    for m, d in enumerate(WIDTHS):
        towers.encoders[m].standardise(torch.full((d,), 0.3 * (m + 1)), torch.full((d,), 1.5))
    return METHODS[method].build(towers, NAMES, CLASSES, generator, options)


def batch(seed=0, absent=()):
    rng = np.random.default_rng(seed)
    present = rng.random((N, 3)) < 0.6
    present[~present.any(axis=1), 0] = True
    for m in absent:
        present[:, m] = False
        present[~present.any(axis=1), (m + 1) % 3] = True
    x = [np.where(present[:, m, None], rng.normal(size=(N, d)), 0.0) for m, d in enumerate(WIDTHS)]
    y = rng.integers(CLASSES, size=N)
    return Batch(tuple(map(torch.from_numpy, x)), torch.from_numpy(present), torch.from_numpy(y))


def slow_logits(recipe, one, fill):
    """Own logits of every modality by plain loops in numpy; NaN where it does not speak."""
    state = {k: v.numpy() for k, v in recipe.net.state_dict().items()}
    own = np.full((3, N, CLASSES), np.nan)
    for m in range(3):
        if recipe.name == "concat":
            W, b = state["head.weight"][:, m * WIDTH : (m + 1) * WIDTH], state["head.bias"] / 3
        elif recipe.name == "mla":
            W, b = state["head.weight"], state["head.bias"]
        else:
            h = min(m, sum(k.startswith("heads") for k in state) // 2 - 1)
            W, b = state[f"heads.{h}.weight"], state[f"heads.{h}.bias"]
        tower = f"towers.encoders.{m}"
        shift, scale = state[f"{tower}.shift"], state[f"{tower}.scale"]
        for i in range(N):
            there = bool(one.present[i, m])
            if not there and fill == "feature":
                continue
            x = one.x[m][i].numpy() if there or fill == "zero" else shift
            f = state[f"{tower}.layers.0.weight"] @ ((x - shift) / scale) + state[f"{tower}.layers.0.bias"]
            own[m, i] = W @ f + b
    return own


def turns(recipe, one):
    """Turns of all the stages a recipe has."""
    return [turn for task in recipe.stages() for turn in task.turns(one)]


def nll(z, label):
    return np.log(np.exp(z - z.max()).sum()) + z.max() - z[label]


def joint(recipe, own):
    """The concat head on rows with absent modalities: slices of those that speak, and the whole bias."""
    bias = recipe.head.bias.detach().numpy()
    return np.nansum(own - bias / 3, axis=0) + bias


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(("method", "options"), SLOW)
def test_loss_and_logits_equal_a_slow_loop(method, options, fill):
    recipe, one = build(method, options, fill), batch()
    own = slow_logits(recipe, one, fill)
    y = one.y.numpy()
    turns = list(recipe.turns(one))  # no step in between, so all losses are at the same weights
    if method == "concat":
        expected = [np.mean([nll(z, label) for z, label in zip(joint(recipe, own), y)])]
    else:
        expected = [np.mean([nll(own[m, i], y[i]) for i in range(N) if not np.isnan(own[m, i, 0])]) for m in range(3)]
        if method == "late" or not options.get("alternate", True):
            expected = [sum(expected)]
    np.testing.assert_allclose([float(loss.detach()) for _, loss in turns], expected, atol=1e-10)
    found = recipe.logits(one)
    spoken = ~np.isnan(own[:, :, 0])
    np.testing.assert_allclose(found.modality.detach().numpy()[spoken], own[spoken], atol=1e-10)
    weights = found.weights.detach().numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights[~spoken.T] == 0).all()
    assert (weights[spoken.T] > 0).all()
    fused = joint(recipe, own) if method == "concat" else np.einsum("nm,mnc->nc", weights, np.nan_to_num(own))
    np.testing.assert_allclose(found.fused.detach().numpy(), fused, atol=1e-10)


# the loss of a turn of these is a function of more than its gradients flow to, on purpose; their own files compare them
HELD = ("dgl", "reconboost")


@pytest.mark.parametrize(("method", "options"), [variant for variant in VARIANTS if variant[0] not in HELD])
def test_gradients_match_finite_differences(method, options):
    recipe, one = build(method, options, hidden=(7,)), batch()

    def total():
        return sum(loss for _, loss in turns(recipe, one))

    total().backward()
    rng = np.random.default_rng(0)
    for name, parameter in recipe.net.named_parameters():
        if not parameter.requires_grad:
            continue
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for j in rng.choice(len(flat), size=min(4, len(flat)), replace=False):
            kept, step = float(flat[j]), 1e-6
            flat[j] = kept + step
            above = float(total().detach())
            flat[j] = kept - step
            slope = (above - float(total().detach())) / (2 * step)
            flat[j] = kept
            assert abs(slope - float(gradient[j])) < 1e-7, name


@pytest.mark.parametrize(("method", "options"), VARIANTS)
def test_absent_modality_is_left_alone(method, options):
    """Exactly zero gradient, and no movement under momentum and decay, in a batch that lacks the modality."""
    recipe, one = build(method, options), batch(absent=[1])
    for _, loss in turns(recipe, one):
        loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in recipe.towers.encoders[1].parameters())
    if method == "concat":
        assert not recipe.head.weight.grad[:, WIDTH : 2 * WIDTH].any()
    if options.get("head", "separate") == "separate" and method == "late":
        assert all(p.grad is None or not p.grad.any() for p in recipe.heads[1].parameters())
    assert all(group != "text" for group, _ in turns(recipe, one))
    assert not recipe.logits(one).weights[:, 1].any()
    before = [p.detach().clone() for p in recipe.towers.encoders[1].parameters()]
    views = Views(dict(zip(NAMES, (x.numpy() for x in one.x))))
    rows = np.arange(N)
    batches = Batches(ready(views, torch.float64), one.present.numpy(), rows, one.y.numpy(), 5)
    for _ in fit(recipe.stages(), batches, Plan(epochs=3, lr=0.1, weight_decay=0.1)):
        pass
    assert all(torch.equal(a, b) for a, b in zip(before, recipe.towers.encoders[1].parameters()))


@pytest.mark.parametrize("method", METHODS)
def test_absent_content_does_not_matter(method):
    """What stands in absent rows of the views is never looked at."""
    rng = np.random.default_rng(1)
    present = rng.random((40, 2)) < 0.7
    present[~present.any(axis=1), 0] = True
    y = rng.integers(2, size=40)
    X = {name: rng.normal(size=(40, 4)) for name in ("a", "b")}
    outcomes = []
    for rubbish in (0.0, 1e9, np.nan, np.inf):
        filled = {name: np.where(present[:, j, None], x, rubbish) for j, (name, x) in enumerate(X.items())}
        clf = MultimodalClassifier(method=method, epochs=3, width=4).fit(Views(filled, present), y, validation=False)
        outcomes.append(clf.predict_proba(Views(filled, present)))
    for other in outcomes[1:]:
        assert np.array_equal(outcomes[0], other)


def states(recipe, one, epochs=4):
    views = Views(dict(zip(NAMES, (x.numpy() for x in one.x))))
    batches = Batches(ready(views, torch.float64), one.present.numpy(), np.arange(N), one.y.numpy(), 5)
    for _ in fit(recipe.stages(), batches, Plan(epochs=epochs, lr=0.05, optimizer="sgd")):
        pass
    return {k.replace("heads.0", "head"): v for k, v in recipe.net.state_dict().items()}


def test_mla_with_its_switches_off_is_late_fusion_with_a_shared_head():
    one = batch()
    off = build("mla", {"alternate": False, "project": False, "fusion": "mean"})
    late = build("late", {"head": "shared"})
    a, b = states(off, one), states(late, one)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert torch.equal(off.logits(one).fused, late.logits(one).fused)
    for switch in ({"alternate": True}, {"project": True}):
        on = build("mla", {"alternate": False, "project": False, "fusion": "mean", **switch})
        assert not torch.equal(states(on, one)["head.weight"], a["head.weight"])


@pytest.mark.parametrize("project_step", ["gradient", "step"])
def test_the_projection_fires_in_training(project_step):
    """Fails if P were never updated or never applied: counted, compared, and checked in its effect on a step."""
    one = batch()
    with_it = build("mla", {"project_step": project_step})
    without = build("mla", {"project": False})
    a, b = states(with_it, one), states(without, one)
    turns = 4 * sum(
        bool(one.present[rows, m].any())
        for rows in [np.random.default_rng([0, 0]).permutation(N)[s : s + 5] for s in (0, 5, 10)]
        for m in range(3)
    )
    assert with_it.projector.updates >= turns // 2
    assert with_it.steps - 1 == with_it.projector.updates
    assert without.projector.updates == 0
    assert (a["head.weight"] - b["head.weight"]).abs().max() > 1e-4
    eye = torch.eye(WIDTH, dtype=torch.float64)
    assert (with_it.projector.matrix - eye).abs().max() > 0.01
    assert torch.equal(without.projector.matrix, eye)


@pytest.mark.parametrize("method", METHODS)
def test_options_are_checked(method):
    with pytest.raises(ValueError, match="nonsense"):
        build(method, {"nonsense": 1})


@pytest.mark.parametrize(
    "options", [{"fusion": "x"}, {"project_step": "x"}, {"alpha": "x"}, {"alpha": -1.0}, {"normalize": "x"}]
)
def test_mla_refuses_unknown_values(options):
    with pytest.raises(ValueError, match=r"unknown|not a positive"):
        build("mla", options)
