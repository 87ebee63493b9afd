import numpy as np
import pytest
from scipy.special import softmax

from modest.evaluation import confidence_bins, confidence_ranks, data_map, label_confidence, preference


@pytest.fixture(scope="module")
def vectors(shared):
    with np.load(shared / "reference" / "selection" / "cartography.npz", allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def tracked(vectors):
    return label_confidence(softmax(vectors["logits"].astype(np.float64), axis=2), vectors["gold"])


@pytest.fixture(scope="module")
def chart(tracked):
    return data_map(*tracked)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


def test_the_statistics_are_those_of_the_vectors(vectors, tracked, chart):
    close(tracked[0], vectors["gold_probability"])
    assert len(tracked[0]) == vectors["epochs"]
    close(chart.confidence, vectors["confidence"])
    close(chart.variability, vectors["variability"])
    close(chart.variability_ci, vectors["variability_with_ci"])
    close(chart.closeness, vectors["threshold_closeness"])
    np.testing.assert_array_equal(chart.correctness, vectors["correctness"])
    np.testing.assert_array_equal(chart.forgetfulness, vectors["forgetfulness"])
    assert 1000 in chart.forgetfulness
    close(chart.accuracy, vectors["train_accuracy"])
    close(chart.loss, vectors["train_loss"])


def test_burn_out_looks_at_the_first_epochs_only(vectors, tracked):
    early = data_map(*tracked, burn_out=int(vectors["burn_out"]))
    close(early.confidence, vectors["burn_out_confidence"])
    close(early.variability, vectors["burn_out_variability"])
    np.testing.assert_array_equal(early.correctness, vectors["burn_out_correctness"])
    assert early.correctness.max() <= vectors["burn_out"]
    assert len(early.loss) == vectors["burn_out"]


def test_regions_and_their_shares(vectors, chart):
    np.testing.assert_array_equal(chart.rows("hard"), vectors["order_low_confidence"])
    np.testing.assert_array_equal(chart.rows("ambiguous"), vectors["order_high_variability"])
    np.testing.assert_array_equal(np.sort(chart.confidence)[::-1], chart.confidence[chart.rows("easy")])
    for share, count in zip(vectors["fractions"], vectors["fraction_rows"]):
        np.testing.assert_array_equal(chart.rows("hard", share), vectors["order_low_confidence"][:count])


def test_where_the_published_code_is_wrong_we_differ(vectors, chart):
    kept = np.array([len(chart.rows("hard", share)) for share in vectors["fractions"]])
    np.testing.assert_array_equal(kept + 1, vectors["fraction_rows_official"])
    n = len(chart.confidence)
    np.testing.assert_allclose(chart.loss, vectors["train_loss_official"] * n, rtol=1e-5)
    assert (np.abs(chart.loss - vectors["train_loss_official"]) > 1).all()


def test_equations_11_and_12(vectors, chart):
    mu = vectors["mu"]
    close(chart.confidence[np.argsort(chart.confidence)], mu[np.argsort(mu)])
    close(confidence_ranks(mu, "zero") * len(mu), vectors["rank_from_zero"])
    close(confidence_ranks(mu), vectors["r_from_one"])
    close(confidence_ranks(mu, "zero"), vectors["r_from_zero"])
    close(confidence_ranks(mu, ties="average"), vectors["r_average_ties"])
    close(confidence_ranks(mu, ties="min"), vectors["r_min_ties"])
    assert (vectors["r_average_ties"] != vectors["r_min_ties"]).sum() == 2


def test_the_preference_of_a_selection(vectors):
    found = confidence_bins(vectors["mu"])
    np.testing.assert_array_equal(found, vectors["bin_of_row"])
    np.testing.assert_array_equal(np.bincount(found), vectors["rows_per_bin"])
    chosen = vectors["selected"]
    np.testing.assert_array_equal(np.bincount(found[chosen], minlength=5), vectors["selected_per_bin"])
    close(preference(chosen, found), vectors["selected_per_bin_preference"])
    close(preference(np.arange(len(found)), found), np.ones(5))


def slow(confidence, correct):
    """Forgetting, item by item, epoch by epoch, as one would count it by hand."""
    told = []
    for trend in correct.T.tolist():
        times, known = 0, False
        for now in trend:
            times += known and not now
            known = now
        told.append(times if any(trend) else 1000)
    n, epochs = confidence.shape[1], len(confidence)
    mean = [sum(confidence[:, i]) / epochs for i in range(n)]
    return mean, [(sum((confidence[:, i] - mean[i]) ** 2) / epochs) ** 0.5 for i in range(n)], told


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_against_counting_by_hand(epochs):
    rng = np.random.default_rng(epochs)
    p, right = rng.random((epochs, 40)), rng.random((epochs, 40)) < 0.5
    chart = data_map(p, right)
    mean, deviation, forgotten = slow(p, right)
    close(chart.confidence, mean)
    close(chart.variability, deviation)
    assert chart.forgetfulness.tolist() == forgotten


def test_bins_are_equal_and_ties_go_by_order():
    assert confidence_bins(np.zeros(10)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    for n in (1, 7, 12, 999):
        counts = np.bincount(confidence_bins(np.random.default_rng(n).random(n)), minlength=5)
        assert counts.sum() == n
        assert counts.max() - counts.min() <= 1
    assert confidence_bins([]).tolist() == []


def test_a_confidence_of_zero_has_an_infinite_loss():
    assert data_map([[0.0, 0.5]], [[False, True]]).loss.tolist() == [np.inf]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: data_map(np.zeros((2, 3)), np.zeros((3, 2))), "must both be"),
        (lambda: data_map(np.zeros((0, 3)), np.zeros((0, 3))), "one epoch up"),
        (lambda: data_map([[1.5]], [[True]]), "outside \\[0, 1\\]"),
        (lambda: data_map([[np.nan]], [[True]]), "outside \\[0, 1\\]"),
        (lambda: data_map([[0.5]], [[True]], burn_out=0), "burn_out=0"),
        (lambda: data_map([[0.5]], [[True]]).rows("odd"), "region"),
        (lambda: data_map([[0.5]], [[True]]).rows("hard", 0), "share=0"),
        (lambda: label_confidence(np.zeros((2, 3)), [0, 0, 0]), "do not fit"),
        (lambda: label_confidence(np.zeros((2, 1, 3)), [3]), "outside the 3 classes"),
        (lambda: label_confidence(np.zeros((2, 1, 3)), [-1]), "outside the 3 classes"),
        (lambda: label_confidence(np.zeros((2, 1, 3)), [0.0]), "class numbers"),
        (lambda: confidence_ranks([0.1], "two"), "first"),
        (lambda: confidence_ranks([0.1], ties="max"), "ties"),
        (lambda: confidence_ranks([np.nan]), "one finite number"),
        (lambda: confidence_bins([0.1], 0), "count=0"),
        (lambda: preference([], [0]), "selected is empty"),
        (lambda: preference([1], [0]), "outside the 1 rows"),
        (lambda: preference([-1], [0]), "outside the 1 rows"),
        (lambda: preference([0], [5]), "outside 0 .. 4"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
