import numpy as np
import pytest

from modest.bench import LabelledViews, Protocol
from modest.bench.sets import prepare
from tests.bench.sample import table


def protocol(tmp_path, **changes):
    return Protocol(**{"pool": {"toy": table()}, "out": tmp_path / "b", "methods": ("random",), **changes})


def test_budgets_are_shares_of_the_training_rows_but_never_below_one_per_class(tmp_path):
    ground = prepare("toy", table())  # 96 training rows, 4 classes
    items = protocol(tmp_path, budgets=(0.01, 0.02, 0.05, 0.1)).items(ground)
    assert items == {4: [0.01, 0.02, 0.05], 9: [0.1]}
    assert protocol(tmp_path, budgets=(2, 30)).items(ground) == {2: [2], 30: [30]}
    assert protocol(tmp_path, budgets=(1.0,)).items(ground) == {76: [1.0]}  # all of the 80 % subsample


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ("magic",)}, "known: auto, random"),
        ({"methods": ()}, "methods is empty"),
        ({"methods": ("random", "random")}, "twice"),
        ({"learner": "magic"}, "known: probe"),
        ({"budgets": (0,)}, "budgets holds 0"),
        ({"budgets": (1.5,)}, "budgets holds 1.5"),
        ({"missing": (2.0,)}, "missing holds 2"),
        ({"seeds": 0}, "seeds"),
        ({"subsample": 0.0}, "subsample"),
        ({"pool": {"a b": table()}}, "letters"),
        ({"wrong": 1}, "wrong"),
    ],
)
def test_bad_protocols_are_one_sentence(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        protocol(tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_a_count_above_the_subsample_is_refused(tmp_path):
    with pytest.raises(ValueError, match="76 rows"):
        protocol(tmp_path, budgets=(90,)).items(prepare("toy", table()))


def test_rows_without_a_label_are_left_out_and_a_missing_test_split_is_carved_once():
    given = table()
    labels = given.labels.astype(object)
    labels[:10] = None
    ground = prepare("toy", LabelledViews(given.views, labels, None))
    again = prepare("toy", LabelledViews(given.views, labels, None))
    assert ground.about["test_carved"]
    assert ground.about["without_label"] == 10
    np.testing.assert_array_equal(ground.test, again.test)
    assert not set(ground.test) & set(ground.pool)
    assert min(*ground.pool, *ground.test) == 10


def test_hashes_tell_sets_apart():
    one, other = table(seed=0), table(seed=1)
    assert prepare("a", one).about["content_hash"] == prepare("b", one).about["content_hash"]
    assert prepare("a", one).about["content_hash"] != prepare("a", other).about["content_hash"]


def test_a_set_without_labels_is_refused():
    given = table()
    with pytest.raises(ValueError, match="fewer than two classes"):
        prepare("toy", LabelledViews(given.views, [None] * 120, given.split))
