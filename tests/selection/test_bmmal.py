"""BMMAL: reference vectors for two modalities and three, Shapley's axioms, and what it has in common with BADGE."""

from itertools import permutations

import numpy as np
import pytest

import modest
from modest import Views
from modest.selection.bmmal import scales, shapley, shares

from .test_badge import residual
from .warm import softmax


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/bmmal.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


@pytest.fixture(scope="module")
def given(ref):
    logits = np.stack([ref[f"logits_{s}"] for s in ("none", "only1", "only2", "both")])
    return {"features": {"a": ref["features1"], "b": ref["features2"]}, "coalition_proba": softmax(logits)}


def at_predicted(delta, predicted):
    return delta[:, np.arange(len(predicted)), predicted]


def test_logits_are_the_heads(ref, given):
    x = np.hstack([ref["features1"], ref["features2"]]).astype(np.float64)
    for name, parts in (("none", ()), ("only1", (0,)), ("only2", (1,)), ("both", (0, 1))):
        kept = np.where(np.isin(np.repeat([0, 1], [9, 6]), parts), x, 0.0)
        np.testing.assert_allclose(kept @ ref["weight"].T + ref["bias"], ref[f"logits_{name}"], atol=1e-6)
    np.testing.assert_allclose(given["coalition_proba"][3], ref["proba_official"], atol=1e-5)


def test_shares_and_scales(ref, given):
    delta = shapley(given["coalition_proba"])
    for m in (1, 2):
        np.testing.assert_allclose(delta[m - 1], ref[f"delta{m}"], atol=1e-9)
        np.testing.assert_allclose(delta[m - 1], ref[f"delta{m}_official"], atol=1e-5)
    predicted = given["coalition_proba"][3].argmax(axis=1)
    np.testing.assert_array_equal(predicted, ref["predicted"])
    share = shares(at_predicted(delta, predicted))
    np.testing.assert_allclose(share, np.stack([ref["share1"], ref["share2"]]), atol=1e-9)
    np.testing.assert_allclose(scales(share), np.stack([ref["scale1"], ref["scale2"]]), atol=1e-9)
    np.testing.assert_allclose(scales(share), np.stack([ref["scale1_official"], ref["scale2_official"]]), atol=1e-4)


def test_three_modalities(ref):
    p = ref["m3_coalition_proba"]
    delta = shapley(p)
    np.testing.assert_allclose(delta, ref["m3_delta"], atol=1e-9)
    np.testing.assert_array_equal(p[-1].argmax(axis=1), ref["m3_predicted"])
    share = shares(at_predicted(delta, ref["m3_predicted"]))
    np.testing.assert_allclose(share.T, ref["m3_share"], atol=1e-9)
    np.testing.assert_allclose(scales(share).T, ref["m3_scale"], atol=1e-9)


def test_features_that_are_zero(ref):
    """Row 1 has no feature at all (0 / 0: equal shares), rows 3 and 4 lack one modality's."""
    parts = [ref[f"degenerate_features{m}"].astype(np.float64) for m in (1, 2)]
    weight = np.split(ref["weight"].astype(np.float64), [9], axis=1)
    logits = [
        ref["bias"] + sum(p @ w.T * (s >> m & 1) for m, (p, w) in enumerate(zip(parts, weight))) for s in range(4)
    ]
    proba = softmax(np.stack(logits))
    share = shares(at_predicted(shapley(proba), proba[3].argmax(axis=1)))
    np.testing.assert_allclose(share, np.stack([ref["degenerate_share1"], ref["degenerate_share2"]]), atol=1e-5)
    np.testing.assert_allclose(scales(share), [ref["degenerate_scale1"], ref["degenerate_scale2"]], atol=1e-5)
    assert share[:, 1].tolist() == [0.5, 0.5]
    assert np.isnan(ref["degenerate_share1_official"][1])
    np.testing.assert_allclose(shares(np.full((3, 1), 1e-14)), 1 / 3)


@pytest.mark.parametrize("precision", ["auto", "float64"])
def test_picks_of_the_reference(ref, given, precision):
    views = Views(given["features"])
    choice = modest.select(views, 18, "bmmal", uniforms=ref["uniforms"], precision=precision, **given)
    np.testing.assert_array_equal(choice.rows, ref["picks"])
    tolerance = 1e-7 if precision == "float64" else 1e-5
    assert choice.scores[0] == pytest.approx(ref["gradient_norm"].max(), abs=tolerance)
    distance = ref["distance_before_pick"][np.arange(17), ref["picks"][1:]]
    np.testing.assert_allclose(choice.scores[1:], distance, atol=tolerance)
    assert choice.trace["mean_share"]["a"] == pytest.approx(ref["share1"].mean(), abs=1e-9)


def test_distances_are_those_of_the_explicit_gradient(ref, given):
    from modest.neighbours import plus_plus

    from .test_badge import products

    x = np.hstack(list(given["features"].values())).astype(np.float64)
    made = products(
        x, residual(given["coalition_proba"][3]), np.stack([ref["scale1"], ref["scale2"]], axis=1), dims=[9, 6]
    )
    g = ref["gradient_embedding"].reshape(180, -1)
    norms = made.squared_norms()
    np.testing.assert_allclose(norms.sqrt().numpy(), ref["gradient_norm"], atol=1e-9)
    explicit = np.array([((g - g[j]) ** 2).sum(axis=1) for j in ref["picks"]]).T
    import torch

    found = made.squared_distances(torch.as_tensor(ref["picks"]), norms).numpy()
    np.testing.assert_allclose(found, explicit, atol=1e-9)
    for t in range(1, 18):
        closest = plus_plus(made, t, np.ones(180, dtype=bool), uniforms=ref["uniforms"][: t - 1])[2]
        distance = closest.sqrt().numpy()
        np.testing.assert_allclose(distance, ref["distance_before_pick"][t - 1], atol=1e-7)
        probability = distance**2 / (distance**2).sum()
        np.testing.assert_allclose(probability, ref["sampling_probability_before_pick"][t - 1], atol=1e-9)


@pytest.mark.parametrize("players", [1, 2, 3, 4, 5])
def test_shapley_is_the_mean_over_all_orders_of_arrival(players):
    worth = np.random.default_rng(players).normal(size=(2**players, 3))
    expected = np.zeros((players, 3))
    orders = list(permutations(range(players)))
    for order in orders:
        there = 0
        for m in order:
            expected[m] += (worth[there | 1 << m] - worth[there]) / len(orders)
            there |= 1 << m
    found = shapley(worth)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=0), worth[-1] - worth[0], atol=1e-12)


@pytest.mark.parametrize("uniforms", [None, "given"])
def test_equal_shares_make_it_badge_on_all_features_side_by_side(uniforms):
    """One worth for every single modality and one for all: shares are equal, and every scale is 1."""
    rng = np.random.default_rng(4)
    x = {m: rng.normal(size=(60, d)) for m, d in (("a", 4), ("b", 3), ("c", 5))}
    none, some, every = (rng.dirichlet(np.ones(3), size=60) for _ in range(3))
    coalition = np.stack([none] + [some] * 6 + [every])
    knobs = {} if uniforms is None else {"uniforms": rng.random(14)}
    ours = modest.select(x, 15, "bmmal", features=x, coalition_proba=coalition, **knobs)
    theirs = modest.select(x, 15, "badge", proba=every, features={"all": np.hstack(list(x.values()))}, **knobs)
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-6)


def test_an_absent_modality_has_no_share():
    rng = np.random.default_rng(1)
    x = {"a": rng.normal(size=(20, 3)), "b": rng.normal(size=(20, 3))}
    there = np.ones((20, 2), dtype=bool)
    there[:10, 1] = False
    x["b"][:10] = 0
    weights = rng.normal(size=(2, 3, 4))
    logits = [sum((x[m] @ weights[k] for k, m in enumerate(x) if s >> k & 1), np.zeros((20, 4))) for s in range(4)]
    p = softmax(np.stack(logits))
    share = shares(at_predicted(shapley(p), p[3].argmax(axis=1)))
    np.testing.assert_allclose(share[:, :10], [[1] * 10, [0] * 10], atol=1e-12)
    choice = modest.select(Views(x, present=there), 6, "bmmal", features=x, coalition_proba=p)
    assert len(set(choice.rows)) == 6


def test_above_five_modalities_and_wrong_shapes():
    x = {f"m{k}": np.eye(8) for k in range(6)}
    with pytest.raises(ValueError, match="up to 5 modalities, and features has 6"):
        modest.select(x, 2, "bmmal", features=x, coalition_proba=np.full((64, 8, 2), 0.5))
    two = {"a": np.eye(8), "b": np.eye(8)}
    for wrong in (np.full((3, 8, 2), 0.5), np.full((4, 8), 0.5)):
        with pytest.raises(ValueError, match="coalition_proba has shape"):
            modest.select(two, 2, "bmmal", features=two, coalition_proba=wrong)
    bad = np.full((4, 8, 2), 0.5)
    bad[2, 5] = 0.7
    with pytest.raises(ValueError, match=r"coalition_proba\[2\] row 5 is no distribution"):
        modest.select(two, 2, "bmmal", features=two, coalition_proba=bad)
