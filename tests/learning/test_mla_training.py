"""The recipe mla, driven by the one loop, against states after every step of an independent implementation."""

import numpy as np
import pytest
import torch

from modest.learning import METHODS, Towers
from modest.training import Batches, Plan, ready
from modest.training.fit import fit
from modest.types import Views


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/learning/mla_training.npz", allow_pickle=False)


def recipe_at_start(vectors, **options):
    towers = Towers.over([8, 8], 6, torch.Generator().manual_seed(0), dtype=torch.float64)
    recipe = METHODS["mla"].build(
        towers, ["a", "b"], 3, torch.Generator().manual_seed(0), {"alpha": float(vectors["alpha"]), **options}
    )
    with torch.no_grad():
        for m in range(2):
            towers.encoders[m].layers[0].weight.copy_(torch.from_numpy(vectors["enc_w0"][m]))
            towers.encoders[m].layers[0].bias.copy_(torch.from_numpy(vectors["enc_b0"][m]))
        recipe.head.weight.copy_(torch.from_numpy(vectors["head_w0"]))
        recipe.head.bias.copy_(torch.from_numpy(vectors["head_b0"]))
    return recipe


def train(vectors, momentum=0.0, present=None, **options):
    """Run the real recipe through the real loop; everything the vectors hold, one row per step."""
    recipe = recipe_at_start(vectors, **options)
    M, count, n, d = vectors["x"].shape
    x = vectors["x"].reshape(M, count * n, d)
    there = np.ones((count * n, M), dtype=bool) if present is None else present.reshape(count * n, M).astype(bool)
    views = Views({"a": x[0], "b": x[1]})
    rows = np.arange(count * n)
    batches = Batches(ready(views, torch.float64), there, rows, vectors["y"].ravel(), size=n, shuffle=False)
    plan = Plan(epochs=1, lr=float(vectors["lr"]), optimizer="sgd", momentum=momentum)
    seen = {"head_grad": [], "mean_feature": []}
    edit = recipe.before_step

    def before_step(group):
        seen["head_grad"].append(recipe.head.weight.grad.clone().numpy())
        seen["mean_feature"].append(recipe._mean.numpy())
        edit(group)

    recipe.before_step = before_step
    keys = ("enc_w", "enc_b", "head_w", "head_b", "P", "loss", "modality", "head_grad_projected")
    out = {key: [] for key in keys}
    for record in fit(recipe.stages(), batches, plan):
        if "turn" not in record.values:
            continue
        encoders = [tower.layers[0] for tower in recipe.towers.encoders]
        now = {
            "enc_w": np.stack([e.weight.detach().numpy() for e in encoders]).copy(),
            "enc_b": np.stack([e.bias.detach().numpy() for e in encoders]).copy(),
            "head_w": recipe.head.weight.detach().numpy().copy(),
            "head_b": recipe.head.bias.detach().numpy().copy(),
            "P": recipe.projector.matrix.numpy(),
            "loss": record.values["loss"],
            "modality": ["a", "b"].index(record.values["turn"]),
            "head_grad_projected": recipe.head.weight.grad.numpy().copy(),
        }
        for key, value in now.items():
            out[key].append(value)
    return recipe, {key: np.stack(value) for key, value in {**out, **seen}.items()}


CASES = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "momentum_step_projected": {"momentum": 0.9, "project_step": "step"},
    "previous": {"project_with": "previous"},
    "first_accumulates": {"first_accumulates": True},
    "plain": {"project": False},
    "plain_momentum": {"momentum": 0.9, "project": False},
}


def compare(vectors, case, found):
    keys = [k for k in vectors.files if k.startswith(f"{case}_") and k[len(case) + 1 :] in found]
    assert len(keys) >= 5
    for key in keys:
        expected = vectors[key]
        error = np.abs(found[key[len(case) + 1 :]] - expected) / np.maximum(1, np.abs(expected))
        assert error.max() <= 1e-10, key


@pytest.mark.parametrize("case", CASES)
def test_matches_reference(vectors, case):
    # before the step is projected, gradients are raw; those vectors hold no gradient
    _, found = train(vectors, **CASES[case])
    compare(vectors, case, found)


def test_missing_modality_has_no_turn(vectors):
    recipe, found = train(vectors, present=vectors["present"])
    compare(vectors, "missing", found)
    assert len(found["loss"]) == 23
    assert recipe.projector.updates == 22


@pytest.mark.parametrize("case", ["sgd", "missing"])
def test_batches_that_ran(vectors, case):
    """The order of turns: which batch each step belongs to."""
    present = vectors["present"] if case == "missing" else np.ones((12, 5, 2))
    _, found = train(vectors, present=present)
    ran = [b for b in range(12) for m in range(2) if present[b, :, m].any()]
    assert vectors[f"{case}_batch"].tolist() == ran
    assert vectors[f"{case}_modality"].tolist() == found["modality"].tolist()


def test_differs_from_the_released_class_with_its_name_repaired(vectors):
    _, found = train(vectors)
    for key in ("head_w", "enc_w"):
        assert np.abs(found[key] - vectors[f"wrong_official_repaired_name_{key}"]).max() > 1e-3


def test_alpha_may_be_a_function_of_the_share_of_the_epoch(vectors):
    from modest.learning.mla import decay

    named = train(vectors, alpha="decay")[1]
    given = train(vectors, alpha=decay)[1]
    assert np.array_equal(named["P"], given["P"])
    assert np.abs(named["P"] - train(vectors)[1]["P"]).max() > 1e-3
