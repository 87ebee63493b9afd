"""BADGE and its k-means++: reference vectors, the explicit gradients, the law of the draws, and no n x C D anywhere."""

import numpy as np
import pytest
import torch

import modest
from modest import Views
from modest.neighbours import Products, Rows, plus_plus
from modest.neighbours.plusplus import _exponentials

from ..neighbours.test_memory import Largest
from .warm import softmax


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/badge.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def products(x, q, scale=None, dims=None, precision="float64"):
    parts = np.split(x, np.cumsum(dims or [x.shape[1]])[:-1], axis=1)
    views = Views({f"m{m}": part for m, part in enumerate(parts)})
    rows = Rows(views, unit=False, precision=precision)
    as_tensor = lambda a: None if a is None else torch.as_tensor(a, dtype=rows.dtype)  # noqa: E731
    return Products(rows, as_tensor(q), as_tensor(scale))


def residual(p):
    return p - np.eye(p.shape[1])[p.argmax(axis=1)]


def explicit(x, q):
    return (q[:, :, None] * x[:, None, :]).reshape(len(x), -1)


@pytest.mark.parametrize("precision", ["auto", "float64"])
def test_picks_of_the_reference(ref, precision):
    taken = ref["labelled"].astype(bool)
    choice = modest.select(
        ref["features"], 20, "badge", taken=taken, proba=ref["proba"], features={"x": ref["features"]},
        uniforms=ref["uniforms"], precision=precision,
    )  # fmt: skip
    np.testing.assert_array_equal(choice.rows, ref["picks"])
    np.testing.assert_array_equal(ref["unlabelled_rows"][ref["picks_in_unlabelled"]], ref["picks"])
    tolerance = 1e-9 if precision == "float64" else 1e-5
    assert choice.scores[0] == pytest.approx(ref["gradient_norm"].max(), abs=tolerance)
    distance = ref["distance_before_pick"][np.arange(19), ref["picks_in_unlabelled"][1:]]
    np.testing.assert_allclose(choice.scores[1:], distance, atol=tolerance, rtol=0)


def test_norms_and_distances_are_those_of_the_explicit_gradients(ref):
    rows = ref["unlabelled_rows"]
    np.testing.assert_allclose(ref["proba"], softmax(ref["features"] @ ref["weight"].T + ref["bias"]), atol=1e-6)
    q = residual(ref["proba"][rows].astype(np.float64))
    g = (q[:, :, None] * ref["features"][rows][:, None, :].astype(np.float64)).reshape(205, -1)
    np.testing.assert_allclose(-g.reshape(205, 5, 12), ref["gradient_embedding"], atol=1e-9)
    made = products(ref["features"][rows].astype(np.float64), q)
    norms = made.squared_norms()
    np.testing.assert_allclose(norms.sqrt().numpy(), ref["gradient_norm"], atol=1e-9)
    at = torch.as_tensor(ref["pair_i"])
    d2 = made.squared_distances(at, norms).numpy()
    np.testing.assert_allclose(d2[ref["pair_j"], np.arange(50)], ref["pair_squared_distance"], atol=1e-9)


def test_every_distance_before_every_pick(ref):
    rows, picks = ref["unlabelled_rows"], ref["picks_in_unlabelled"]
    made = products(ref["features"][rows].astype(np.float64), residual(ref["proba"][rows].astype(np.float64)))
    free = np.ones(205, dtype=bool)
    for t in range(1, 20):
        found, _, closest = plus_plus(made, t, free, uniforms=ref["uniforms"][: t - 1])
        np.testing.assert_array_equal(found, picks[:t])
        distance = closest.sqrt().numpy()
        np.testing.assert_allclose(distance, ref["distance_before_pick"][t - 1], atol=1e-9)
        probability = distance**2 / (distance**2).sum()
        np.testing.assert_allclose(probability, ref["sampling_probability_before_pick"][t - 1], atol=1e-9)


def one_at_a_time(g, budget, free, ids, seed):
    """The races by the book: explicit gradients, one race per pick, every row running."""
    from modest.data.keys import keys

    base = torch.as_tensor(keys(np.asarray(ids), seed, "plus_plus").astype(np.int64))
    norm = np.linalg.norm(g, axis=1)
    picks = [int(np.where(free, norm, -1).argmax())]
    scores = [norm[picks[0]]]
    while len(picks) < budget:
        d2 = np.min([((g - g[j]) ** 2).sum(axis=1) for j in picks], axis=0)
        d2[picks] = 0
        d2[~free] = 0
        pick = int((d2 / _exponentials(base, len(picks), 1)[0].numpy()).argmax())
        picks.append(pick)
        scores.append(d2[pick] ** 0.5)
    return picks, scores


@pytest.mark.parametrize("batch", [1, 5, 64])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sharing_a_product_changes_no_pick(batch, seed):
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.normal(size=(12, 7)), 10, axis=0) + 0.3 * rng.normal(size=(120, 7))
    x *= np.exp(1.5 * rng.normal(size=(120, 1)))  # a few rows are far from everything, most are near
    q = residual(softmax(2 * rng.normal(size=(120, 4))))
    made, free = products(x, q), rng.random(120) < 0.8
    picks, distances, closest = plus_plus(made, 60, free, seed=seed, batch=batch)
    g = explicit(x, q)
    expected, scores = one_at_a_time(g, 60, free, made.rows.ids, seed)
    np.testing.assert_array_equal(picks, expected)
    np.testing.assert_allclose(distances, scores, atol=1e-8)
    np.testing.assert_allclose(closest, np.min([((g - g[j]) ** 2).sum(axis=1) for j in picks], axis=0), atol=1e-8)


def test_races_are_won_in_proportion_to_the_squared_distance():
    x = np.array([[10.0], [9.0], [8.0], [7.0], [10.0]])  # the first is picked first; distances 0 1 2 3 0
    made, free = products(x, np.ones((5, 1))), np.ones(5, dtype=bool)
    second = np.array([plus_plus(made, 2, free, seed=seed)[0][1] for seed in range(1500)])
    shares = np.bincount(second, minlength=5) / 1500
    np.testing.assert_allclose(shares, [0, 1 / 14, 4 / 14, 9 / 14, 0], atol=0.05)


def test_exponentials_are_those_of_unsigned_splitmix():
    base = np.array([1, 2**63 + 5, 2**64 - 1], dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = base + np.uint64(7) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    expected = -np.log(((x >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)
    found = _exponentials(torch.as_tensor(base.astype(np.int64)), 5, 4)
    np.testing.assert_allclose(found[2].numpy(), expected, rtol=1e-12)
    many = _exponentials(torch.arange(20_000), 3, 2)
    assert many.mean().item() == pytest.approx(1.0, abs=0.03)
    assert np.corrcoef(many.numpy())[0, 1] == pytest.approx(0.0, abs=0.03)


def test_copies_and_a_classifier_that_is_sure():
    x = np.repeat(np.eye(3), 4, axis=0)
    choice = modest.select(x, 12, "badge", proba=np.full((12, 2), 0.5), features={"x": x})
    assert set((choice.rows[:3] // 4).tolist()) == {0, 1, 2}
    assert sorted(choice.rows.tolist()) == list(range(12))
    assert (choice.scores[3:] == 0).all()
    sure = np.eye(2)[[0] * 12]
    drawn = {tuple(modest.select(x, 4, "badge", seed, proba=sure, features={"x": x}).rows[1:]) for seed in range(6)}
    assert len(drawn) > 3
    assert all(len(set(rows)) == 3 for rows in drawn)
    given = modest.select(x, 4, "badge", proba=sure, features={"x": x}, uniforms=[0.0, 0.5, 0.999])
    assert given.rows.tolist() == [0, 1, 6, 11]


def test_copies_are_at_distance_zero_in_single_precision():
    rng = np.random.default_rng(2)
    x = np.repeat(rng.normal(size=(9, 300)), 5, axis=0)
    p = np.repeat(rng.dirichlet(np.ones(7), size=9), 5, axis=0)
    choice = modest.select(x, 12, "badge", proba=p, features={"x": x}, precision="float32")
    assert set((choice.rows[:9] // 5).tolist()) == set(range(9))
    assert (choice.scores[:9] > 0.1).all()
    assert (choice.scores[9:] == 0).all()


def test_the_first_pick_is_the_largest_and_of_equal_ones_the_lowest():
    x = np.array([[0.95], [-1.0], [0.2], [1.0]])
    given = {"proba": np.full((4, 2), 0.5), "features": {"x": x}}
    assert modest.select(x, 1, "badge", **given).rows.tolist() == [1]
    assert modest.select(Views({"x": x}, ids=list("dcba")), 1, "badge", **given).rows.tolist() == [3]


def test_rows_waiting_for_labels_can_count_as_picks():
    x = np.array([[10.0, 0], [9.9, 0], [0, 1], [0, 1.1]])
    taken = np.array([True, False, False, False])
    given = {"proba": np.full((4, 2), 0.5), "features": {"x": x}, "taken": taken}
    published = modest.select(x, 1, "badge", **given)
    assert published.rows[0] == 1  # as large a gradient as the taken row's, and right beside it
    drawn = {int(modest.select(x, 1, "badge", seed, cover_taken=True, **given).rows[0]) for seed in range(20)}
    assert drawn == {2, 3}
    choice = modest.select(x, 2, "badge", cover_taken=True, uniforms=[0.0, 0.9], **given)
    assert choice.rows.tolist() == [1, 3]  # the first number is the first pick's
    assert "from all chosen before" in choice.reasons[0]
    with pytest.raises(ValueError, match=r"uniforms has shape \(1,\); it must hold 2 numbers"):
        modest.select(x, 2, "badge", cover_taken=True, uniforms=[0.0], **given)


@pytest.mark.parametrize("uniforms", [[0.1], [0.1, 0.2, 0.3], [0.1, 1.0], [0.1, -0.1], [0.1, np.nan]])
def test_uniforms_are_checked(uniforms):
    x = np.eye(4)
    with pytest.raises(ValueError, match="uniforms has shape"):
        modest.select(x, 3, "badge", proba=np.full((4, 2), 0.5), features={"x": x}, uniforms=uniforms)


def test_largest_tensor():
    n, b, d, classes = 4_000, 300, 24, 30
    rng = np.random.default_rng(0)
    x = {m: rng.standard_normal((n, d), dtype=np.float32) for m in ("image", "text")}
    p = rng.dirichlet(np.ones(classes), size=n)
    coalition = np.stack([rng.dirichlet(np.ones(classes), size=n) for _ in range(4)])
    for method, given in (("badge", {"proba": p}), ("bmmal", {"coalition_proba": coalition})):
        with Largest() as seen:
            assert len(modest.select(x, b, method, features=x, memory="40MB", **given)) == b
        # 64 picks share one product; never classes x features (1,440), nor the whole budget (300), for every row
        assert n * 2 * d <= seen.most <= n * 64
