"""The recipes sum, concat, film, bigated and late against vectors, slow loops, and what they say of absence."""

import numpy as np
import pytest
import torch
from torch import nn

from modest.learning import METHODS, Towers, mean_fusion
from modest.learning.film import Options, conditioning
from modest.training import Batch
from tests.learning.test_recipes import CLASSES, WIDTH, N, batch, build


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/learning/fusion_heads.npz", allow_pickle=False)


def close(found, expected):
    found = found.detach().numpy()
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= 1e-10 * np.maximum(1, np.abs(expected))).all()


def layer(weight, bias):
    made = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(weight))
        made.bias.copy_(torch.from_numpy(bias))
    return made


def recipe_on(vectors, method, letters="xy", options=None):
    """A recipe whose encoders give back what they get, and the batch of the vectors' inputs."""
    towers = Towers([nn.Linear(5, 5, dtype=torch.float64) for _ in letters], 5)
    for encoder in towers.encoders:
        nn.init.eye_(encoder.weight)
        nn.init.zeros_(encoder.bias)
    recipe = METHODS[method].build(towers, list(letters), 3, torch.Generator().manual_seed(0), options)
    x = tuple(torch.from_numpy(vectors[letter]) for letter in letters)
    return recipe, Batch(x, torch.ones(6, len(letters), dtype=torch.bool))


def named(vectors, name):
    return layer(vectors[f"{name}.weight"], vectors[f"{name}.bias"])


def test_sum(vectors):
    recipe, one = recipe_on(vectors, "sum")
    for m, letter in enumerate("xy"):
        recipe.head[m] = named(vectors, f"sum.fc_{letter}")
    close(recipe.logits(one).fused, vectors["sum.logits"])


def test_three_summed(vectors):
    recipe, one = recipe_on(vectors, "sum", "xyz")
    for m in range(3):
        recipe.head[m] = layer(vectors["sum3.weight"][m], vectors["sum3.bias"][m])
    found = recipe.logits(one)
    close(found.fused, vectors["sum3.logits"])
    close(found.modality.sum(dim=0), vectors["sum3.logits"])


def test_concat(vectors):
    recipe, one = recipe_on(vectors, "concat")
    recipe.head.load_state_dict(named(vectors, "concat.fc_out").state_dict())
    found = recipe.logits(one)
    close(found.fused, vectors["concat.logits"])
    close(found.modality, np.stack([vectors["concat.logits_x_alone"], vectors["concat.logits_y_alone"]]))
    recipe, one = recipe_on(vectors, "concat", "xyz")
    recipe.head.load_state_dict(named(vectors, "concat3.fc_out").state_dict())
    close(recipe.logits(one).fused, vectors["concat3.logits"])


@pytest.mark.parametrize(("condition", "name"), [("x", "film_x_conditions_y"), ("y", "film_y_conditions_x")])
def test_film(vectors, condition, name):
    recipe, one = recipe_on(vectors, "film", options={"condition": condition})
    recipe.head["fc"][0] = named(vectors, f"{name}.fc")
    recipe.head["fc_out"] = named(vectors, f"{name}.fc_out")
    close(recipe.logits(one).fused, vectors[f"{name}.logits"])


@pytest.mark.parametrize(("condition", "name"), [("x", "gated_x_gates_y"), ("y", "gated_y_gates_x")])
def test_bigated(vectors, condition, name):
    recipe, one = recipe_on(vectors, "bigated", options={"condition": condition})
    sides = {"fc_x": condition, "fc_y": "xy".replace(condition, "")}
    for side, letter in sides.items():
        recipe.head[side][0] = named(vectors, f"{name}.fc_{letter}")
    recipe.head["fc_out"] = named(vectors, f"{name}.fc_out")
    close(recipe.logits(one).fused, vectors[f"{name}.logits"])


def test_late(vectors):
    recipe, one = recipe_on(vectors, "late", "xyz")
    for m in range(3):
        recipe.heads[m].load_state_dict(layer(vectors["late.weight"][m], vectors["late.bias"][m]).state_dict())
    found = recipe.logits(one)
    close(found.modality, vectors["late.logits_unimodal"])
    close(found.fused, vectors["late.logits"])
    close(mean_fusion(found.modality[:2])[0], vectors["late.logits_2"])
    masked = Batch(one.x, torch.from_numpy(vectors["late.present"]).bool())
    close(recipe.logits(masked).fused, vectors["late.logits_masked"])


def slow(recipe, blocks, active, condition):
    """(n, C) of one row after another, in numpy; features (M, n, s)."""
    state = {k: v.numpy() for k, v in recipe.head.state_dict().items()}

    def dot(name, x):
        return state[f"{name}.weight"] @ x + state[f"{name}.bias"]

    rows = []
    for i in range(blocks.shape[1]):
        if recipe.name == "sum":
            rows.append(sum((dot(str(m), blocks[m, i]) for m in range(3) if active[i, m]), np.zeros(CLASSES)))
            continue
        parts = []
        others = [m for m in range(3) if m != condition]
        for k, m in enumerate(others):
            x, y = blocks[condition, i], blocks[m, i]
            if recipe.name == "film":
                both = dot(f"fc.{k}", x)
                parts.append(both[:WIDTH] * y + both[WIDTH:])
            else:
                parts.append(dot(f"fc_y.{k}", y) / (1 + np.exp(-dot(f"fc_x.{k}", x))))
        rows.append(dot("fc_out", np.concatenate(parts)))
    return np.stack(rows)


CASES = [("sum", None), ("film", "image"), ("film", "audio"), ("bigated", "image"), ("bigated", "text")]


@pytest.mark.parametrize("fill", ["feature", "zero", "mean"])
@pytest.mark.parametrize(("method", "condition"), CASES)
def test_equals_a_slow_loop_with_absent_modalities(method, condition, fill):
    place = {"image": 0, "text": 1, "audio": 2, None: 0}[condition]
    recipe, one = build(method, None if condition is None else {"condition": condition}, fill), batch()
    active = one.present.numpy() if fill == "feature" else np.ones((N, 3), dtype=bool)
    blocks = recipe.towers.blocks(one).detach().numpy()
    assert not blocks[~active.T].any()
    fused = slow(recipe, blocks, active, place)
    found = recipe.logits(one)
    close(found.fused, fused)
    for m in range(3):
        only = np.zeros_like(blocks)
        only[m] = blocks[m]
        alone = slow(recipe, only, active & (np.arange(3) == m), place)
        close(found.modality[m], np.where(active[:, m, None], alone, 0.0))
    close(found.weights, active / active.sum(axis=1, keepdims=True))
    log_p = fused - np.log(np.exp(fused).sum(axis=1, keepdims=True))
    (group, loss), *more = recipe.turns(one)
    assert (group, more) == ("all", [])
    close(loss, -log_p[np.arange(N), one.y.numpy()].mean())


@pytest.mark.parametrize(("method", "condition"), CASES)
def test_alone_is_what_is_predicted_where_only_it_is_present(method, condition):
    recipe, one = build(method, None if condition is None else {"condition": condition}), batch()
    alone = recipe.logits(one).modality
    for m in range(3):
        only = one.present & (torch.arange(3) == m)
        there = only[:, m]
        fused = recipe.logits(Batch(tuple(x[there] for x in one.x), only[there])).fused
        torch.testing.assert_close(fused, alone[m][there], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["film", "bigated"])
def test_the_first_modality_conditions_if_none_is_named(method):
    one = batch()
    default, first, last = (build(method, o) for o in (None, {"condition": "image"}, {"condition": "audio"}))
    assert torch.equal(default.logits(one).fused, first.logits(one).fused)
    assert not torch.equal(default.logits(one).fused, last.logits(one).fused)


def test_which_modality_conditions():
    assert conditioning(Options("b"), ["a", "b", "c"], "film") == (1, [0, 2])
    with pytest.raises(ValueError, match=r"options\['condition'\]='d' is unknown; known: a, b"):
        conditioning(Options("d"), ["a", "b"], "film")
    for method in ("film", "bigated"):
        with pytest.raises(ValueError, match="one only"):
            METHODS[method].build(Towers.over([3], 2, torch.Generator()), ["a"], 2, torch.Generator())


def test_summed_heads_are_a_concatenated_head_with_a_bias_per_modality():
    one = batch()
    one = Batch(one.x, torch.ones_like(one.present), one.y)
    added, side_by_side = build("sum"), build("concat")
    with torch.no_grad():
        side_by_side.head.weight.copy_(torch.cat([head.weight for head in added.head], dim=1))
        side_by_side.head.bias.copy_(sum(head.bias for head in added.head))
    torch.testing.assert_close(added.logits(one).fused, side_by_side.logits(one).fused)


def test_a_bias_that_was_not_asked_does_not_count():
    recipe, one = build("sum"), batch(absent=[1])
    before = recipe.logits(one).fused
    with torch.no_grad():
        recipe.head[1].bias += 100
    assert torch.equal(recipe.logits(one).fused, before)


def test_sum_of_one_modality_is_its_head():
    recipe = METHODS["sum"].build(Towers.over([3], 4, torch.Generator().manual_seed(0)), ["a"], 2, torch.Generator())
    one = Batch((torch.randn(5, 3, generator=torch.Generator().manual_seed(1)),), torch.ones(5, 1, dtype=torch.bool))
    assert torch.equal(recipe.logits(one).fused, recipe.head[0](recipe.towers.features(one, 0)[0]))
