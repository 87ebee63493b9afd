"""Agreement: planted mismatches come first, cosines are those by hand, and where nothing can be said, nothing is."""

import numpy as np
import pytest

import modest
from modest.report import agreement_figure, agreement_part, pairs_part
from modest.report.agreeing import agreeing
from modest.types import Views


def related(n=300, wrong=(), widths=(6, 9), seed=0):
    """Two modalities that share four directions; the halves of ``wrong`` are those of their neighbours."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 4))
    other = common.copy()
    other[list(wrong)] = -other[list(wrong)]
    one, two = (rng.normal(size=(4, width)) for width in widths)
    return {
        "a": common @ one + 0.1 * rng.normal(size=(n, widths[0])),
        "b": other @ two + 0.1 * rng.normal(size=(n, widths[1])),
    }


def test_planted_mismatches_agree_least():
    found = agreeing(Views(related(wrong=(17, 101, 250))))
    assert found.learned
    assert set(found.ordered()[:3].tolist()) == {17, 101, 250}
    assert found.value[[17, 101, 250]].max() < 0.3
    assert np.median(found.value) > 0.9
    assert (np.diff(found.value[found.ordered()]) >= 0).all()


def test_shuffled_rows_keep_their_agreement():
    arrays = related()
    ids = np.array([f"i{k:03d}" for k in range(300)])
    order = np.random.default_rng(1).permutation(300)
    plain, turned = (
        agreeing(Views(arrays, None, ids)),
        agreeing(Views({m: x[order] for m, x in arrays.items()}, None, ids[order])),
    )
    np.testing.assert_allclose(turned.value, plain.value[order], atol=1e-5)
    np.testing.assert_allclose(turned.fit, plain.fit[order], atol=1e-5)


def test_few_items_of_one_width_are_compared_by_cosine():
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(12, 5)), "b": rng.normal(size=(12, 5)), "c": rng.normal(size=(12, 5))}
    present = np.ones((12, 3), dtype=bool)
    present[0, 2], present[1, 1:] = False, False
    found = agreeing(Views(arrays, present))
    unit = {m: x / np.linalg.norm(x, axis=1, keepdims=True) for m, x in arrays.items()}
    ab, ac, bc = (np.einsum("nd,nd->n", unit[a], unit[b]) for a, b in (("a", "b"), ("a", "c"), ("b", "c")))
    assert not found.learned
    np.testing.assert_allclose(found.value[2:], (ab + ac + bc)[2:] / 3, atol=1e-6)
    assert found.value[0] == pytest.approx(ab[0], abs=1e-6)
    assert np.isnan(found.value[1])
    assert 1 not in found.ordered()


def test_where_nothing_can_be_said_there_is_no_section(tmp_path):
    assert agreeing(Views({"a": np.eye(5)})) is None
    arrays = related(12, widths=(3, 4))
    assert agreeing(Views(arrays)) is None
    pool = modest.ingest(arrays, tmp_path / "pool")
    assert agreement_part(pool, pool.views(), np.arange(12)) is None


def test_the_section_shows_both_ends_and_the_chosen(tmp_path):
    pool = modest.ingest(related(wrong=(17,)), tmp_path / "pool")
    chosen = np.arange(300) < 30
    part = agreement_part(pool, pool.views(), np.arange(300), chosen)
    least, most = part.cards.values()
    assert list(part.cards) == ["Least agreeing", "Most agreeing"]
    assert least[0].title == pool.ids[17]
    assert [one.name for one in least[0].shown] == ["a", "b"]
    assert part.data["id"].iloc[0] == pool.ids[17]
    assert part.data["id"].iloc[-1] == most[0].title
    names = [text.get_text() for text in part.figure.axes[0].get_legend().get_texts()]
    assert names == ["halves of strangers", "own halves", "own halves, chosen items"]


def test_bought_pairs_are_compared_across_items(tmp_path):
    pool = modest.ingest(related(), tmp_path / "pool")
    pairs = np.stack([np.arange(250), np.arange(250)], axis=1)
    pairs[5, 1] = 280
    part = pairs_part(pool, ("a", "b"), pairs)
    assert "Of 250 pairs" in part.text
    wrong = part.data[part.data["id"] == pool.ids[5]].iloc[0]
    assert wrong["partner"] == pool.ids[280]
    assert wrong["agreement"] < part.data["agreement"].median()


def test_a_histogram_holds_every_item_once():
    found = agreeing(Views(related()))
    steps = agreement_figure(found).axes[0].patches
    for patch in steps:
        values, _, _ = patch.get_data()
        assert values.sum() == pytest.approx(1.0)
