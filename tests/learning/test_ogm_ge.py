"""OGM-GE through the one loop against vectors and slow loops: scores, factors, damped gradients, noise, resuming."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from modest.learning import METHODS, Towers
from modest.learning.ogm_ge import OGMGE, coefficients, noise, ratios, scores
from modest.training import Batch, Batches, Kept, Plan, ready
from modest.training.fit import fit
from modest.types import Views
from tests.learning.test_recipes import CLASSES, NAMES, WIDTH, WIDTHS, N, batch, build

SIDES = ("audio", "visual")


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/learning/ogm_ge.npz", allow_pickle=False)


def close(found, expected, tolerance=1e-10):
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= tolerance * np.maximum(1, np.abs(expected))).all()


class Given(list):
    """Batches as they are, for the loop."""

    device = "cpu"

    def epoch(self, number=0):
        return iter(self)


class Pooled(nn.Module):
    """A 1x1 convolution and the mean over space."""

    def __init__(self, weight, bias):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 1, dtype=torch.float64)
        with torch.no_grad():
            self.conv.weight.copy_(torch.from_numpy(weight))
            self.conv.bias.copy_(torch.from_numpy(bias))

    def forward(self, x):
        return self.conv(x).mean(dim=(2, 3))


def case(vectors, k, **options):
    """Recipe k of the vectors at its weights, and its batch."""
    encoders = [Pooled(vectors[f"conv_{side}"][k], vectors[f"conv_bias_{side}"][k]) for side in SIDES]
    head = "sum" if vectors["is_sum"][k] else "concat"
    options = {"head": head, "alpha": float(vectors["alpha"][k]), **options}
    recipe = METHODS["ogm_ge"].build(Towers(encoders, 6), SIDES, 4, torch.Generator().manual_seed(5), options)
    w, b = torch.from_numpy(vectors["head_w"][k]), torch.from_numpy(vectors["head_b"][k])
    with torch.no_grad():
        if head == "sum":
            for layer, weight, bias in zip(
                recipe.head, (w[:, :6], w[:, 6:]), (b, torch.from_numpy(vectors["head_b_second"][k]))
            ):
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
        else:
            recipe.head.weight.copy_(w)
            recipe.head.bias.copy_(b)
    x = tuple(torch.from_numpy(vectors[f"x_{side}"][k]) for side in SIDES)
    return recipe, Batch(x, torch.ones(8, 2, dtype=torch.bool), torch.from_numpy(vectors["y"][k]))


def gradients(recipe, batches, epochs=1, lr=1e-30):
    """Gradients of all parameters before and after the recipe has edited them, one dict pair per step of the loop."""
    steps, edit = [], recipe.before_step

    def now():
        return {name: p.grad.clone() for name, p in recipe.net.named_parameters() if p.grad is not None}

    def before_step(group):
        raw = now()
        edit(group)
        steps.append((raw, now()))

    recipe.before_step = before_step
    list(fit(recipe.stages(), batches, Plan(epochs=epochs, lr=lr, optimizer="sgd", momentum=0.0)))
    return steps


@pytest.mark.parametrize("k", range(5))
def test_matches_the_vectors(vectors, k):
    recipe, one = case(vectors, k, modulation="ogm", scale="conv")
    blocks, said = recipe.towers.blocks(one), recipe.logits(one)
    for m, side in enumerate(SIDES):
        close(blocks[m], vectors[f"features_{side}"][k])
    close(said.fused, vectors["logits_fused"][k])
    own = said.modality
    if not vectors["is_sum"][k]:
        close(own[0], vectors["logits_audio"][k])
        close(own[1], vectors["logits_visual"][k])
    score, rows = scores(own, one.present, one.y)
    close(score, vectors["score"][k])
    close(ratios(score, rows), vectors["ratio"][k])
    close(coefficients(ratios(score, rows), float(vectors["alpha"][k])), vectors["coefficient"][k])
    [(raw, edited)] = gradients(recipe, Given([one]))
    for m, side in enumerate(SIDES):
        name = f"towers.encoders.{m}.conv.weight"
        close(raw[name], vectors[f"grad_{side}"][k])
        close(edited[name], vectors[f"ogm_grad_{side}"][k])
    others = raw.keys() - {f"towers.encoders.{m}.conv.weight" for m in range(2)}
    assert len(others) == 4 + 2 * int(vectors["is_sum"][k])
    assert all(torch.equal(raw[name], edited[name]) for name in others)
    notes = recipe.notes()
    close([notes["coefficient/audio"], notes["coefficient/visual"]], vectors["coefficient"][k])


def test_the_vectors_of_the_sum_head_name_its_own_biases(vectors):
    recipe, one = case(vectors, 4, modulation="ogm")
    own = recipe.logits(one).modality
    close(own[0], vectors["logits_audio"][4])
    close(own[1], vectors["logits_visual"][4])


@pytest.mark.parametrize("k", range(5))
def test_noise_is_as_wide_as_the_gradient_before_it_is_damped(vectors, k):
    recipe, one = case(vectors, k, scale="conv")
    [(raw, edited)] = gradients(recipe, Given([one]))
    draws = torch.Generator().manual_seed(recipe._key())
    for m, side in enumerate(SIDES):
        name = f"towers.encoders.{m}.conv.weight"
        drawn = torch.randn(raw[name].shape, generator=draws, dtype=torch.float64)
        expected = vectors[f"ogm_grad_{side}"][k] + vectors["ge_noise_std"][k, m] * drawn.numpy()
        close(edited[name], expected)


def test_noise_of_many_entries_has_their_spread_and_no_mean(vectors):
    gradient = 3 + 2 * torch.randn(400, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = noise(gradient, torch.Generator().manual_seed(1))
    assert abs(float(drawn.std()) - 2) < 0.02
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(noise(torch.ones(1), torch.Generator().manual_seed(1)))) < 1e-6  # one number has no spread


@pytest.mark.parametrize("q", range(8))
def test_coefficients_of_two_and_three_modalities(vectors, q):
    own, y, alpha = vectors["coef_logits"][q], vectors["coef_y"][q], float(vectors["coef_alpha"][q])
    score, rows = scores(torch.from_numpy(own), torch.ones(8, 3, dtype=torch.bool), torch.from_numpy(y))
    close(score, vectors["coef_score"][q])
    close(ratios(score, rows), vectors["coef3_ratio_mean_of_others"][q])
    close(coefficients(ratios(score, rows), alpha), vectors["coef3_coefficient_mean_of_others"][q])
    two = ratios(score[:2], rows[:2])
    close(two, vectors["coef2_ratio"][q])
    close(coefficients(two, alpha), vectors["coef2_coefficient"][q])


def test_differs_from_the_three_modality_release(vectors):
    """Against the sum of the others hardly anyone is ahead, and one modality is damped whether it is or not."""
    apart = 0.0
    for q in range(8):
        y = torch.from_numpy(vectors["coef_y"][q])
        found = ratios(*scores(torch.from_numpy(vectors["coef_logits"][q]), torch.ones(8, 3, dtype=torch.bool), y))
        apart = max(apart, float((found - torch.from_numpy(vectors["coef3_ratio_wrong_official"][q])).abs().max()))
        factors = coefficients(found, float(vectors["coef_alpha"][q]))
        assert bool(((found > 1) == (factors < 1)).all())
        assert (factors.numpy() != vectors["coef3_coefficient_wrong_official"][q]).any()
    assert apart > 0.1


@pytest.mark.parametrize("modalities", [2, 3])
def test_nobody_is_damped_among_equals(modalities):
    even = ratios(torch.full((modalities,), 0.3), torch.full((modalities,), 8))
    assert even.tolist() == [1.0] * modalities
    assert coefficients(even, 0.8).tolist() == [1.0] * modalities


def test_a_score_that_vanishes_gives_numbers():
    found = ratios(torch.tensor([2.0, 0.0]), torch.tensor([4, 4]))
    assert coefficients(found, 0.5).tolist() == [0.0, 1.0]
    assert coefficients(found, 0.0).tolist() == [1.0, 1.0]
    assert coefficients(ratios(torch.zeros(2), torch.tensor([4, 4])), 0.5).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("head", ["concat", "sum"])
@pytest.mark.parametrize("absent", [[], [2]])
def test_gradients_equal_a_slow_loop_with_absent_rows(head, absent):
    """Scores per row present, from numpy alone; heads keep their gradients, encoders get all of theirs scaled."""
    recipe, one = build("ogm_ge", {"head": head, "alpha": 0.7, "modulation": "ogm"}, hidden=(7,)), batch(absent=absent)
    own, y, present = recipe.logits(one).modality.detach().numpy(), one.y.numpy(), one.present.numpy()
    mean = {}
    for m in range(3):
        p = [np.exp(own[m, i, y[i]]) / np.exp(own[m, i]).sum() for i in range(N) if present[i, m]]
        if p:
            mean[m] = np.mean(p)
    factors = np.ones(3)
    for m in mean:
        ratio = mean[m] / np.mean([s for v, s in mean.items() if v != m])
        factors[m] = 1 - np.tanh(0.7 * ratio) if ratio > 1 else 1.0
    assert len(mean) == 3 - len(absent)
    assert (factors < 1).any()
    [(raw, edited)] = gradients(recipe, Given([one]))
    for name, gradient in raw.items():
        factor = factors[int(name.split(".")[2])] if name.startswith("towers") else 1.0
        close(edited[name], factor * gradient.numpy())
    assert not absent or not any(name.startswith("towers.encoders.2") for name in raw)
    notes = recipe.notes()
    close([notes[f"coefficient/{name}"] for name in NAMES], factors)


def test_batches_of_one_step_are_scored_together():
    """With ``accumulate`` the factors are those of the batches put together."""
    one = batch()

    def part(rows, index):
        return Batch(tuple(x[rows] for x in one.x), one.present[rows], one.y[rows], index, 2)

    parts = Given([part(slice(0, 5), 0), part(slice(5, N), 1)])
    whole, both = (build("ogm_ge", {"modulation": "ogm", "alpha": 0.7}) for _ in range(2))
    list(fit(whole.stages(), Given([one]), Plan(epochs=1, lr=0.1, optimizer="sgd")))
    list(fit(both.stages(), parts, Plan(epochs=1, lr=0.1, optimizer="sgd", accumulate=2)))
    assert min(whole.notes().values()) < 1
    close(list(both.notes().values()), np.array(list(whole.notes().values())))
    for a, b in zip(whole.net.parameters(), both.net.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_notes_are_means_over_the_steps_in_which_a_modality_spoke():
    options, one = {"modulation": "ogm", "alpha": 0.7}, batch()
    first = build("ogm_ge", options)
    gradients(first, Given([one]))
    ahead = min(first.notes(), key=first.notes().get)
    other = replace(batch(absent=[NAMES.index(ahead.split("/")[1])]), index=1)
    both = build("ogm_ge", options)
    gradients(both, Given([one, other]))
    assert both.notes()[ahead] == first.notes()[ahead] < 1
    assert both.notes() != first.notes()


def trained(method, options=None, epochs=4, kept=None, widths=WIDTHS, seed=3, present=None):
    """A recipe trained by the loop on the examination's table, and its Records."""
    one, M = batch(), len(widths)
    generator = torch.Generator().manual_seed(seed)
    towers = Towers.over(widths, WIDTH, generator, (7,), dtype=torch.float64)
    recipe = METHODS[method].build(towers, NAMES[:M], CLASSES, generator, options)
    there = (one.present.numpy() if present is None else present)[:, :M]
    rows = np.flatnonzero(there.any(axis=1))
    views = Views(dict(zip(NAMES, (x.numpy() for x in one.x[:M]))))
    batches = Batches(ready(views, torch.float64), there, rows, one.y.numpy(), 5)
    plan = Plan(epochs=epochs, lr=0.05, optimizer="sgd")
    return recipe, list(fit(recipe.stages(), batches, plan, kept=kept))


def same(a, b):
    b = b.net.state_dict()
    return all(torch.equal(value, b[name]) for name, value in a.net.state_dict().items())


@pytest.mark.parametrize("head", ["concat", "sum"])
@pytest.mark.parametrize("off", [{"alpha": 0.0, "modulation": "ogm"}, {"starts": 9}, {"ends": -1}])
def test_switched_off_it_is_its_plain_head_to_the_bit(head, off):
    assert same(trained("ogm_ge", {"head": head, **off})[0], trained(head)[0])
    assert not same(trained("ogm_ge", {"head": head})[0], trained(head)[0])


def test_one_modality_trains_plainly():
    assert same(trained("ogm_ge", widths=WIDTHS[:1])[0], trained("concat", widths=WIDTHS[:1])[0])


def test_a_batch_in_which_one_modality_speaks_is_left_alone():
    only = np.zeros((N, 3), dtype=bool)
    only[:, 1] = True
    recipe, records = trained("ogm_ge", present=only)
    assert same(recipe, trained("concat", present=only)[0])
    assert records[-1].values["notes"] == {f"coefficient/{name}": 1.0 for name in NAMES}


def test_the_epochs_from_starts_to_ends_are_modulated():
    _, records = trained("ogm_ge", {"starts": 1, "ends": 2, "alpha": 0.8}, epochs=5)
    told = [min(r.values["notes"].values()) for r in records if "notes" in r.values]
    assert [value < 1 for value in told] == [False, True, True, False, False]


def test_training_is_repeated_and_taken_up_to_the_bit(tmp_path):
    plan = {"modulation": "ogm_ge", "alpha": 0.5}
    whole, again = trained("ogm_ge", plan)[0], trained("ogm_ge", plan)[0]
    assert same(whole, again)
    assert not same(whole, trained("ogm_ge", {**plan, "modulation": "ogm"})[0])
    kept = Kept(tmp_path / "run.safetensors", "ogm")
    trained("ogm_ge", plan, epochs=2, kept=kept)
    resumed, records = trained("ogm_ge", plan, kept=kept)
    assert same(whole, resumed)
    assert [r.epoch for r in records if "notes" in r.values] == [0, 1, 2, 3]


def test_noise_differs_from_step_to_step_and_with_the_seed(monkeypatch):
    keys, key = [], OGMGE._key
    monkeypatch.setattr(OGMGE, "_key", lambda recipe: keys.append(key(recipe)) or keys[-1])
    for seed in (0, 1):
        trained("ogm_ge", seed=seed, epochs=2)
    assert len(set(keys)) == len(keys) == 12


def test_global_random_state_is_not_touched():
    before = torch.random.get_rng_state()
    trained("ogm_ge")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"head": "film"}, "nothing to compare; use 'concat' or 'sum'"),
        ({"head": "late"}, "known: concat, sum"),
        ({"modulation": "ge"}, "known: ogm_ge, ogm"),
        ({"scale": "none"}, "known: all, conv"),
        ({"alpha": -0.1}, "not a number from 0 on"),
        ({"alpha": float("nan")}, "not a number from 0 on"),
        ({"scale": "conv"}, "the encoder of 'image' has none; use scale='all'"),
    ],
)
def test_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        build("ogm_ge", options)
