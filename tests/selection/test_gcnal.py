"""GCNAL: reference vectors at both ends of a training, the guard of the adjacency, and a slow dense network."""

import numpy as np
import pytest
import torch

import modest
from modest import Views
from modest.selection.gcnal import Graph, column_sums, drawn_weights, loss_of, network, train

from ..neighbours.test_memory import Largest

PARTS = ("weight1", "bias1", "weight3", "bias3")


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/gcnal.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def unit(x):
    x = x.astype(np.float64)
    return torch.as_tensor(x / np.linalg.norm(x, axis=1, keepdims=True))


def weights(ref, when):
    return {name: torch.as_tensor(ref[f"{when}_{name}"]).double() for name in PARTS}


def chosen(ref, variant, steps=200, **knobs):
    start = {name: ref[f"start_{name}"] for name in PARTS}
    taken = np.arange(140) >= int(ref["n_unlabelled"])
    return modest.select(
        ref["features"], int(ref["budget"]), "gcnal", features={"x": ref["features"]}, taken=taken, variant=variant,
        start=start, dropout=0.0, steps=steps, margin=float(ref["s_margin"]), **knobs,
    )  # fmt: skip


def test_adjacency_of_nonnegative_features_is_the_papers(ref):
    graph = Graph.over(unit(ref["features"]))
    assert graph.guarded == 0
    np.testing.assert_allclose(1 / graph.share, ref["column_sum"], atol=1e-9)
    dense = graph.apply(torch.eye(140).double())
    np.testing.assert_allclose(dense, ref["adjacency"], atol=1e-9)
    np.testing.assert_allclose(dense, ref["adjacency_official"], atol=1e-5)


@pytest.mark.parametrize("when", ["start", "end"])
def test_the_network_at_given_weights(ref, when):
    graph = Graph.over(unit(ref["features"]))
    hidden, logit = network(graph, graph.apply(graph.x), weights(ref, when))
    assert hidden.shape == (140, int(ref["hidden"]))
    np.testing.assert_allclose(hidden, ref[f"{when}_hidden"], atol=1e-9)
    np.testing.assert_allclose(logit, ref[f"{when}_logit"], atol=1e-9)
    np.testing.assert_allclose(torch.sigmoid(logit), ref[f"{when}_score"], atol=1e-9)
    np.testing.assert_allclose(torch.sigmoid(logit), ref[f"{when}_score_official"], atol=1e-5)


def test_training(ref):
    graph = Graph.over(unit(ref["features"]))
    labelled = torch.arange(140) >= int(ref["n_unlabelled"])
    assert int(labelled.sum()) == int(ref["n_labelled"])
    given = (200, 1e-3, float(ref["lambda_"]), 0.0, torch.Generator())
    _, logit, losses = train(graph, labelled, weights(ref, "start"), *given)
    assert losses[0] == pytest.approx(float(ref["start_loss"]), abs=1e-9)
    np.testing.assert_allclose(losses, ref["train_loss64"], atol=1e-9)
    np.testing.assert_allclose(losses, ref["train_loss"], atol=1e-5)
    np.testing.assert_allclose(torch.sigmoid(logit), ref["end_score64"], atol=1e-5)


@pytest.mark.parametrize("precision", ["auto", "float64"])
def test_picks(ref, precision):
    uncertain = chosen(ref, "uncertain", precision=precision)
    assert set(uncertain.rows) == set(ref["uncertain_picks"]) == set(ref["uncertain_picks_official"])
    score = 1 - np.abs(ref["end_score64"] - 0.1)
    np.testing.assert_allclose(uncertain.scores, score[uncertain.rows], atol=1e-5)
    core = chosen(ref, "core", precision=precision)
    np.testing.assert_array_equal(core.rows, ref["core_picks"])
    assert core.trace["loss"] == pytest.approx([ref["train_loss64"][0], ref["train_loss64"][-1]], abs=1e-5)
    untrained = chosen(ref, "core", steps=0, precision=precision)
    np.testing.assert_array_equal(untrained.rows, ref["start_core_picks"])
    order = modest.select(
        ref["features"], 120, "gcnal", features={"x": ref["features"]}, taken=np.arange(140) >= 120, steps=0,
        variant="uncertain", start={name: ref[f"start_{name}"] for name in PARTS}, precision=precision,
    )  # fmt: skip
    np.testing.assert_array_equal(order.rows, ref["start_uncertain_order"])


def test_core_distances_are_farthest_first_in_the_network(ref):
    table = np.hstack([ref["start_hidden"], ref["start_logit"][:, None]])
    seen, choice = list(range(120, 140)), chosen(ref, "core", steps=0, precision="float64")
    for row, score, margin in zip(choice.rows, choice.scores, ref["start_core_margin"]):
        distance = np.linalg.norm(table[:, None] - table[seen], axis=2).min(axis=1)
        assert row == distance.argmax()
        assert score == pytest.approx(distance.max(), abs=1e-6)
        assert distance.max() - np.partition(distance, -2)[-2] == pytest.approx(margin, abs=1e-9)
        seen.append(int(row))


def test_signed_features_are_guarded_where_the_paper_amplifies(ref):
    x = unit(ref["centred_features"])
    total, norm = column_sums(x)
    np.testing.assert_allclose(total, ref["centred_column_sum"], atol=1e-9)
    paper = Graph(x, 1 / total, 0).apply(torch.eye(60).double()).numpy()
    np.testing.assert_allclose(paper, ref["centred_adjacency"], atol=1e-9)
    assert np.abs(paper).max() > 9  # the formula as printed
    graph = Graph.over(x)
    dense = graph.apply(torch.eye(60).double()).numpy()
    raw = (x @ x.T - torch.eye(60)).numpy()
    column = np.linalg.norm(raw, axis=0)
    np.testing.assert_allclose(norm, column, atol=1e-9)
    np.testing.assert_allclose(dense - np.eye(60), raw / np.maximum(raw.sum(axis=0), column), atol=1e-9)
    assert graph.guarded == (raw.sum(axis=0) < column).sum() > 20
    assert (np.linalg.norm(dense - np.eye(60), axis=0) <= 1 + 1e-9).all()  # nothing is amplified
    apart = ~np.eye(60, dtype=bool)
    assert (np.sign(dense[apart]) == np.sign(raw[apart])).all()  # nothing is flipped


def test_rows_that_are_like_no_other_or_have_no_features():
    x = torch.eye(4).double()
    x[3] = 0
    graph = Graph.over(x)
    np.testing.assert_array_equal(graph.apply(x), x)
    choice = modest.select(
        {"a": np.eye(6)}, 3, "gcnal", features={"a": np.eye(6) * [1, 1, 1, 1, 0, 0]}, taken=np.arange(6) == 0
    )
    assert np.isfinite(choice.scores).all()


def test_loss_is_finite_for_huge_logits_and_for_one_side_alone():
    logit = torch.tensor([900.0, -900.0])
    assert float(loss_of(logit, torch.tensor([False, True]), 1.2)) == pytest.approx(900 * 2.2)
    assert float(loss_of(logit, torch.tensor([True, False]), 1.2)) == 0.0
    assert float(loss_of(logit, torch.tensor([True, True]), 1.2)) == pytest.approx(450.0)


def test_weights_are_drawn_evenly_in_their_range():
    made = drawn_weights(40, 25, torch.Generator().manual_seed(0))
    assert {name: tuple(w.shape) for name, w in made.items()} == {
        "weight1": (40, 25), "bias1": (25,), "weight3": (25, 1), "bias3": (1,)
    }  # fmt: skip
    assert 0.19 < float(made["weight1"].abs().max()) <= 0.2
    assert float(made["weight1"].std()) == pytest.approx(0.2 / 3**0.5, rel=0.05)
    assert 0.8 < float(made["weight3"].abs().max()) <= 1.0


def test_dropout_is_drawn_and_scaled():
    x = unit(np.abs(np.random.default_rng(0).normal(size=(30, 5))))
    graph, labelled = Graph.over(x), torch.arange(30) < 9
    first = drawn_weights(5, 400, torch.Generator().manual_seed(1))
    ends = []
    for seed in (3, 3, 4):
        generator = torch.Generator().manual_seed(seed)
        ends.append(train(graph, labelled, first, 3, 1e-3, 1.2, 0.5, generator)[2])
    assert ends[0] == ends[1] != ends[2]
    # with many hidden units the sum over those that are kept, scaled up, is the sum over all
    starts = [
        train(graph, labelled, first, 1, 1e-3, 1.2, 0.5, torch.Generator().manual_seed(k))[2][0] for k in range(40)
    ]
    halved = {**first, "weight3": first["weight3"] / 2}
    whole, half = (train(graph, labelled, w, 1, 1e-3, 1.2, 0.0, torch.Generator())[2][0] for w in (first, halved))
    assert abs(np.mean(starts) - whole) < abs(half - whole) / 4


def test_the_sample_is_drawn_by_ids_and_told():
    rng = np.random.default_rng(5)
    x = np.abs(rng.normal(size=(300, 6)))
    taken = np.arange(300) < 30
    given = {"features": {"x": x}, "taken": taken, "steps": 5}
    small = modest.select(x, 2, "gcnal", sample=50, **given)
    assert small.trace["rows"] == 80
    assert small.trace["sampled"]
    assert modest.select(x, 10, "gcnal", sample=50, **given).trace["rows"] == 230  # twenty times the budget
    full = modest.select(x, 2, "gcnal", **given)
    assert full.trace["rows"] == 300
    assert not full.trace["sampled"]
    still = {**given, "steps": 0, "start": {k: v.numpy() for k, v in drawn_weights(6, 8, torch.Generator()).items()}}
    drawn = {tuple(modest.select(x, 2, "gcnal", seed, sample=50, **still).rows) for seed in range(4)}
    assert len(drawn) > 1  # the weights are the same, the rows in the graph are not
    order = rng.permutation(300)
    ids = np.array([f"{i:03d}" for i in range(300)])
    again = modest.select(
        Views({"x": x[order]}, ids=ids[order]),
        2,
        "gcnal",
        features={"x": x[order]},
        taken=taken[order],
        steps=5,
        sample=50,
    )
    np.testing.assert_array_equal(again.ids, small.ids)


def test_labels_count_as_taken(ref):
    labels = np.where(np.arange(140) >= 120, 0, -1)
    start = {name: ref[f"start_{name}"] for name in PARTS}
    given = {"features": {"x": ref["features"]}, "start": start, "dropout": 0.0}
    choice = modest.select(ref["features"], 10, "gcnal", labels=labels, **given)
    np.testing.assert_array_equal(choice.rows, ref["core_picks"])
    with pytest.raises(ValueError, match="only 120 rows are free"):
        modest.select(ref["features"], 121, "gcnal", labels=labels, **given)


def test_nothing_as_large_as_rows_times_rows():
    x = np.abs(np.random.default_rng(0).normal(size=(3_000, 8))).astype(np.float32)
    with Largest() as seen:
        modest.select(x, 20, "gcnal", features={"x": x}, taken=np.arange(3_000) < 50, steps=2, hidden=16)
    assert 3_000 * 16 <= seen.most <= 3_000 * 64


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"taken": np.zeros(6, dtype=bool)}, "gcnal learns what is labelled, and no row is"),
     ({"variant": "best"}, "variant='best' is unknown"), ({"steps": -1}, "gcnal needs steps"),
     ({"dropout": 1.0}, "gcnal needs steps"), ({"lr": 0.0}, "gcnal needs steps"), ({"sample": 0}, "gcnal needs steps"),
     ({"start": {"weight1": np.ones((6, 2))}}, r"start must hold weight1 \(6, h\)"),
     ({"start": {"weight1": np.ones((5, 2)), "bias1": np.ones(2), "weight3": np.ones((2, 1)), "bias3": np.ones(1)}},
      "start must hold")],
)  # fmt: skip
def test_refusals(changed, told):
    given = {"features": {"x": np.eye(6)}, "taken": np.arange(6) == 0}
    with pytest.raises(ValueError, match=told):
        modest.select(np.eye(6), 2, "gcnal", **{**given, **changed})
