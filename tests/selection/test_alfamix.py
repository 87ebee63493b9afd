"""ALFA-Mix: reference vectors of both forms, anchors, caps, absent modalities, and what happens with few candidates."""

import numpy as np
import pytest
import torch

import modest
from modest import Views
from modest.neighbours import Rows
from modest.selection.mixing import Space, candidates, flips, learn, pull


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/alfamix.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def head_of(ref):
    def head(features):
        x = features["x"]
        W1, b1, W2, b2 = (torch.as_tensor(ref[k]).to(x) for k in ("weight1", "bias1", "weight2", "bias2"))
        return torch.tanh(x @ W1.T + b1) @ W2.T + b2

    return head


def space(ref, precision="float64"):
    return Space(Rows(Views({"x": ref["embeddings"]}), unit=False, precision=precision), head_of(ref))


def chosen(ref, **knobs):
    given = {"features": {"x": ref["embeddings"]}, "head": head_of(ref), "labels": ref["labels"]}
    return modest.select(ref["embeddings"], 6, "alfamix", rounds=60, **given, **knobs)


def test_anchors(ref):
    np.testing.assert_array_equal(ref["labels"] >= 0, ref["labelled"].astype(bool))
    anchors = space(ref).anchors(ref["labels"], 4).numpy()
    np.testing.assert_allclose(anchors, ref["anchors"], atol=1e-9)
    np.testing.assert_allclose(anchors[3], ref["embeddings"][ref["labels"] >= 0].mean(axis=0), atol=1e-6)


def test_gradient(ref):
    one = space(ref)
    predicted, gradient = one.gradient(one.rows.take(ref["unlabelled_rows"]).x)
    np.testing.assert_array_equal(predicted, ref["predicted"])
    np.testing.assert_allclose(gradient / 116, ref["gradient"], atol=1e-9)
    np.testing.assert_allclose(gradient / 116, ref["gradient_official"], atol=1e-5)
    p = torch.softmax(one.logits(one.rows.take(ref["unlabelled_rows"]).x), dim=1)
    np.testing.assert_allclose(p, ref["proba"], atol=1e-9)


def test_closed_form(ref):
    one, at = space(ref), torch.as_tensor(ref["unlabelled_rows"])
    z, anchors = one.rows.take(at).x, one.anchors(ref["labels"], 4)
    gradient = one.gradient(z)[1]
    ever = np.zeros(116, dtype=bool)
    for k, cap in enumerate(ref["caps"]):
        flipped, length, shortest = flips(one, at, anchors, float(cap))
        np.testing.assert_array_equal(flipped, ref["changed"][k])
        ever |= flipped.any(dim=0).numpy()
        np.testing.assert_allclose(shortest, ref["smallest_alpha_per_cap"][k], atol=1e-9)
        for c in range(4):
            away = (anchors[c] - z).numpy()
            step = pull(z, anchors[c], gradient, float(cap), torch.ones_like(z)).numpy()
            # multiplied out: where a is near z alpha itself is as large as 100
            np.testing.assert_allclose(step, ref["alpha"][k, c] * (away + 1e-8), atol=1e-9)
            np.testing.assert_allclose(step, ref["alpha_official"][k, c] * away, atol=1e-5)
            norm = np.linalg.norm(ref["alpha"][k, c], axis=1)
            np.testing.assert_allclose(length[c], np.where(ref["changed"][k, c], norm, np.inf), rtol=1e-6)
    np.testing.assert_array_equal(ever, ref["candidate"])
    cap_of, target = candidates(one, ref["unlabelled_rows"], anchors, 6, float(ref["alpha_cap"]), 0, False, None)
    first = np.argmax(ref["changed"].any(axis=1), axis=0)  # the first cap at which each row flips
    np.testing.assert_allclose(cap_of[ever], ref["caps"][first[ever]])
    assert np.isinf(cap_of[~ever]).all()
    norms = np.where(ref["changed"], np.linalg.norm(ref["alpha"], axis=3), np.inf)[first, :, np.arange(116)]
    np.testing.assert_array_equal(target[ever], norms.argmin(axis=1)[ever])


@pytest.mark.parametrize("precision", ["auto", "float64"])
def test_picks(ref, precision):
    flipping = ref["unlabelled_rows"][ref["candidate"].astype(bool)]
    choice = chosen(
        ref, alpha_cap=float(ref["alpha_cap"]), init=flipping[ref["kmeans_init_positions"]], precision=precision
    )
    np.testing.assert_array_equal(np.sort(choice.rows), np.sort(ref["picks"]))
    np.testing.assert_array_equal(np.sort(choice.rows), np.sort(ref["picks_official"]))
    np.testing.assert_allclose(choice.scores, np.sort(np.bincount(ref["kmeans_labels"]))[::-1] / 20)
    size = dict(zip(ref["picks"].tolist(), np.bincount(ref["kmeans_labels"]).tolist()))
    assert [size[row] for row in choice.rows.tolist()] == sorted(size.values(), reverse=True)
    assert choice.trace["candidates"] == 20
    assert choice.trace["cap"] == pytest.approx(0.2)  # at 0.1 six rows or fewer flip
    assert choice.trace["drawn"] == 0


def test_learned_form(ref):
    one = space(ref, "float32")
    z, anchors = one.rows.take(ref["unlabelled_rows"]).x, one.anchors(ref["labels"], 4)
    predicted = one.gradient(z)[0]
    cap = float(ref["learned_alpha_cap"])
    for c in range(4):
        start = torch.as_tensor(ref["learned_noise"][0, c]) * cap
        alpha, flipped = learn(one.logits, z, anchors[c], predicted, cap, start, torch.ones_like(z))
        np.testing.assert_array_equal(flipped, ref["learned_changed_official"][0, c])
        np.testing.assert_allclose(alpha, ref["learned_alpha_official"][0, c], atol=1e-5)


def test_learned_picks(ref):
    np.testing.assert_array_equal(ref["learned_caps"], [ref["learned_alpha_cap"]])
    init = ref["learned_candidates"][np.linspace(0, 25, 6).astype(int)]
    knobs = {"alpha_cap": float(ref["learned_alpha_cap"]), "learned": True, "noise": ref["learned_noise"]}
    choice = chosen(ref, init=init, **knobs)
    np.testing.assert_array_equal(np.sort(choice.rows), np.sort(ref["learned_picks_official"]))
    assert choice.trace["candidates"] == len(ref["learned_candidates"])
    one = space(ref, "float32")
    given = (
        ref["unlabelled_rows"],
        one.anchors(ref["labels"], 4),
        6,
        knobs["alpha_cap"],
        0,
        True,
        ref["learned_noise"],
    )
    cap_of, _ = candidates(one, *given)
    np.testing.assert_array_equal(ref["unlabelled_rows"][np.isfinite(cap_of)], ref["learned_candidates"])


def test_learned_starts_are_drawn_alike_for_any_tile(ref):
    wide = np.hstack([ref["embeddings"], np.zeros((130, 3_000), dtype=np.float32)])

    def head(features):
        return head_of(ref)({"x": features["x"][:, :10]})

    answers = [
        modest.select(wide, 6, "alfamix", features={"x": wide}, head=head, labels=ref["labels"], learned=True, memory=m)
        for m in ("2MB", "2GB")
    ]
    np.testing.assert_array_equal(answers[0].rows, answers[1].rows)


def line(x):
    """Two classes on a line, told apart at 0."""
    return torch.stack([x, -x], dim=1)


def test_the_nearest_to_the_border_flip_first():
    x = np.array([[3.0], [-3.0], [0.05], [1.0], [-2.0], [0.5]])
    given = {"features": {"x": x}, "head": lambda f: line(f["x"][:, 0]), "labels": np.array([0, 1, -1, -1, -1, -1])}
    choice = modest.select(x, 1, "alfamix", alpha_cap=0.1, **given)
    # at 0.1 rows 2 (towards class 1, by 0.1 * 3.05) and none else; at 0.2 row 5 joins, which is more than the budget
    assert choice.trace["cap"] == pytest.approx(0.2)
    assert choice.trace["candidates"] == 2
    assert choice.rows[0] in (2, 5)
    assert "within 0.1 of the way; stands for" in modest.select(x, 2, "alfamix", alpha_cap=0.1, **given).reasons[0]


def test_without_any_flip_rows_are_drawn_without_replacement():
    x = np.eye(8) * 100
    labels = np.where(np.arange(8) < 2, np.arange(8), -1)
    given = {"features": {"x": x}, "head": lambda f: 0 * f["x"][:, :3] + torch.tensor([1.0, 0, 0]).to(f["x"])}
    drawn = [modest.select(x, 6, "alfamix", seed, labels=labels, **given) for seed in range(5)]
    for choice in drawn:
        assert sorted(choice.rows.tolist()) == [2, 3, 4, 5, 6, 7]
        assert choice.trace["drawn"] == 6
        assert (choice.scores == 0).all()
        assert set(choice.reasons) == {"drawn at random to make up the number"}
    assert len({tuple(choice.rows) for choice in drawn}) > 2


def test_candidates_come_before_draws():
    x = np.array([[30.0], [-30.0], [0.05], [-0.05], [29.0], [-29.0], [28.0]])
    given = {"features": {"x": x}, "head": lambda f: line(f["x"][:, 0] - 90), "labels": np.array([0, 1] + [-1] * 5)}
    choice = modest.select(x, 3, "alfamix", **{**given, "head": lambda f: line(f["x"][:, 0])}, alpha_cap=0.01)
    assert set(choice.rows[:2]) == {2, 3}
    never = modest.select(x, 2, "alfamix", **given)
    assert never.trace["drawn"] == 2  # 90 is beyond every anchor: at most 60 away


def test_clusters_without_a_member_are_made_up_by_other_candidates():
    x = np.array([[3.0], [-3.0], [50.0], [0.05], [0.05], [0.05], [0.05], [49.0]])
    given = {"features": {"x": x}, "head": lambda f: line(f["x"][:, 0]), "labels": np.array([0, 1] + [-1] * 6)}
    for seed in range(4):
        choice = modest.select(x, 3, "alfamix", seed, alpha_cap=0.1, **given)
        assert choice.trace["candidates"] == 4
        assert choice.trace["drawn"] >= 1
        assert set(choice.rows) < {3, 4, 5, 6}


def test_an_absent_modality_is_not_moved():
    x = {"a": np.array([[2.0], [-2.0], [0.5], [0.5]]), "b": np.array([[2.0], [-2.0], [0.0], [-7.0]])}
    there = np.array([[1, 1], [1, 1], [1, 0], [1, 0]], dtype=bool)
    seen = []

    def head(features):
        seen.append(features["b"].detach().clone())
        return line(features["a"][:, 0] + features["b"][:, 0])

    given = {"features": x, "head": head, "labels": np.array([0, 1, -1, -1])}
    for form in ({}, {"learned": True}):
        seen.clear()
        choice = modest.select(Views(x, present=there), 2, "alfamix", **given, **form)
        assert sorted(choice.rows.tolist()) == [2, 3]
        assert all((block == 0).all() for block in seen)
    rows = Rows(Views(x, present=there), unit=False, precision="float64")
    one = Space(rows, head)
    anchors = one.anchors(np.array([0, 1, -1, -1]), 2)
    z, mask = rows.take([2]).x, one.there(torch.tensor([2]))
    step = pull(z, anchors[1], torch.tensor([[1.0, 1.0]]).double(), 0.2, mask)
    np.testing.assert_allclose(step, [[0.2 * 2.5, 0.0]])  # the distance and the dimension of what is there


def test_anchors_of_a_modality_that_a_class_lacks():
    x = {"a": np.arange(1.0, 5.0)[:, None], "b": np.arange(5.0, 9.0)[:, None]}
    there = np.array([[1, 0], [1, 1], [0, 1], [1, 1]], dtype=bool)
    one = Space(Rows(Views(x, present=there), unit=False, precision="float64"), None)
    found = one.anchors(np.array([0, 1, 1, -1]), 3).numpy()
    np.testing.assert_allclose(found, [[1.0, 6.5], [2.0, 6.5], [1.5, 6.5]])


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"labels": np.full(4, -1)}, "labels has no known class"), ({"labels": np.array([0, 2, -1, -1])}, "head has 2"),
     ({"head": lambda f: f["x"].detach()[:, :2] * 1.0}, "head has no gradient"),
     ({"head": lambda f: f["x"].sum()}, r"head gives \(\) for 1 rows"), ({"head": lambda f: 3}, "head gives int"),
     ({"alpha_cap": 0.0}, "alpha_cap=0.0"), ({"alpha_cap": 1.5}, "alpha_cap=1.5"),
     ({"learned": True, "noise": np.zeros((1, 2, 3, 3))}, "noise has shape"),
     ({"learned": True, "alpha_cap": 0.1, "noise": np.zeros((1, 2, 2, 3))}, "noise holds starts for 1 caps")],
)  # fmt: skip
def test_refusals(changed, told):
    x = np.array([[1.0, 0, 0], [0, 1, 0], [0.6, 0.5, 0], [9.0, 0, 0]])
    given = {"features": {"x": x}, "head": lambda f: f["x"][:, :2] * 1.0, "labels": np.array([0, 1, -1, -1])}
    with pytest.raises(ValueError, match=told):
        modest.select(x, 1, "alfamix", **{**given, **changed})


def test_k_means_starts_from_candidates_alone(ref):
    still = ref["unlabelled_rows"][~ref["candidate"].astype(bool)]
    with pytest.raises(ValueError, match="init names a row whose prediction does not flip"):
        chosen(ref, alpha_cap=float(ref["alpha_cap"]), init=still[:6])
