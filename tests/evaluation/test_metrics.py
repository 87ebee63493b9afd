import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from modest import evaluation


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["int", "str", "object"])
def test_metrics_match_scikit_learn(seed, kind):
    rng = np.random.default_rng(seed)
    y, p = rng.integers(6, size=80), rng.integers(7, size=80)
    if kind != "int":
        y, p = np.array(list("abcdefg"))[y], np.array(list("abcdefg"))[p]
    if kind == "object":
        y = y.astype(object)
    truth = np.asarray(y, dtype=p.dtype)
    seen = np.unique(truth)
    assert evaluation.accuracy(y, p) == pytest.approx(accuracy_score(truth, p), abs=1e-12)
    recall = recall_score(truth, p, labels=seen, average="macro", zero_division=0)
    assert evaluation.macro_accuracy(y, p) == pytest.approx(recall, abs=1e-12)
    f1 = f1_score(truth, p, average="weighted", zero_division=0)
    assert evaluation.weighted_f1(y, p) == pytest.approx(f1, abs=1e-12)


def test_metrics_match_a_slow_loop():
    y, p = ["a", "a", "a", "b", "c"], ["a", "a", "b", "b", "b"]
    recall = {c: sum(t == g == c for t, g in zip(y, p)) / y.count(c) for c in set(y)}
    assert evaluation.macro_accuracy(y, p) == pytest.approx(sum(recall.values()) / 3)
    classes, values = evaluation.recalls(y, p)
    assert dict(zip(classes.tolist(), values.tolist())) == pytest.approx(recall)


def test_a_class_the_model_never_saw_counts_as_wrong():
    proba = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    result = evaluation.scores(["a", "b", "z"], proba, None, ["a", "b"])
    assert result["fused"]["accuracy"] == pytest.approx(2 / 3)
    assert result["fused"]["macro_accuracy"] == pytest.approx(2 / 3)
    assert result["fused"]["rows"] == 3


def test_absent_rows_are_left_out_of_a_modality_and_counted():
    y = np.array([0, 1, 1, 0])
    proba = np.eye(2)[[0, 1, 0, 0]]
    image = np.eye(2)[[0, 1, 1, 1]].astype(float)
    image[3] = np.nan
    audio = np.full((4, 2), np.nan)
    result = evaluation.scores(y, proba, np.stack([image, audio]), [0, 1], ["image", "audio"])
    assert result["fused"]["accuracy"] == 0.75
    assert result["modality"]["image"] == {"accuracy": 1.0, "macro_accuracy": 1.0, "weighted_f1": 1.0, "rows": 3}
    assert result["modality"]["audio"]["rows"] == 0
    assert np.isnan(result["modality"]["audio"]["accuracy"])


def test_inputs_stay_unchanged():
    y, proba = np.array(["b", "a"], dtype=object), np.eye(2)
    each = np.stack([proba, np.full((2, 2), np.nan)])
    before = y.copy(), proba.copy(), each.copy()
    evaluation.scores(y, proba, each, ["a", "b"], ["x", "z"])
    for old, new in zip(before, (y, proba, each)):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evaluation.accuracy([1, 2], [1]), "one class per row"),
        (lambda: evaluation.accuracy([None, "a"], ["a", "a"]), "row 0"),
        (lambda: evaluation.scores([0, 1], np.ones((2, 3)), None, [0, 1]), "proba has shape"),
        (lambda: evaluation.scores([0], np.full((1, 2), np.nan), None, [0, 1]), "row 0"),
        (lambda: evaluation.scores([0], np.ones((1, 2)), np.ones((1, 2, 2)), [0, 1], ["x"]), "modality_proba"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_numbers_against_names_is_a_type_error():
    with pytest.raises(TypeError, match="numbers on one side"):
        evaluation.accuracy([1, 2], ["1", "2"])


def test_no_rows_is_nan_not_a_number():
    assert np.isnan(evaluation.accuracy([], []))
