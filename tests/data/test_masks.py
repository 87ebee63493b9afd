"""Laws of missing modalities against their closed forms and slow loops, and masks kept as files."""

import itertools
import json

import numpy as np
import pytest

import modest
from modest.data.hidden import Mask, MaskedPool, masked
from modest.data.masks import block_mask, dropout_share, incomplete_patterns, kept_one, pattern_mask, split_mask
from modest.data.presence import achieved_rate, missing_mask
from modest.encoders.reading import Reading
from modest.encoders.table import table
from modest.training import drop_modalities
from modest.types import Views

IDS = np.array([f"item{k:04d}" for k in range(400)])


def near(found, wanted, n):
    return (np.abs(found - wanted) <= 4 * np.sqrt(wanted * (1 - wanted) / n) + 1e-12).all()


class TestSplits:
    def test_each_split_has_its_rate_and_the_cells_of_missing_mask(self):
        split = np.array(["train", "val", "test", "test"])[np.arange(400) % 4]
        mask = split_mask(IDS, split, 3, {"train": 0.3, "test": 0.6}, seed=4)
        assert mask[split == "val"].all()
        for name, rate in (("train", 0.3), ("test", 0.6)):
            at = split == name
            np.testing.assert_array_equal(mask[at], missing_mask(400, 3, rate, 4, IDS)[at])
        np.testing.assert_array_equal(split_mask(IDS, split, 3, 0.4, 4), missing_mask(400, 3, 0.4, 4, IDS))

    def test_what_cannot_be_is_refused(self):
        with pytest.raises(ValueError, match=r"'tset'.*splits are test, train"):
            split_mask(["a", "b"], ["train", "test"], 2, {"tset": 0.5}, 0)
        with pytest.raises(ValueError, match="ids has shape"):
            split_mask(["a"], ["train", "test"], 2, 0.5, 0)


class TestBlocks:
    def test_only_the_modalities_and_rows_named_go(self):
        rows = np.arange(6) % 2 == 0
        mask = block_mask(6, 3, [0, 2], rows)
        for i, m in itertools.product(range(6), range(3)):
            assert mask[i, m] == (i % 2 == 1 or m == 1)
        np.testing.assert_array_equal(mask, block_mask(6, 3, [2, 0, 0], [0, 2, 4]))
        assert not block_mask(4, 2, [1])[:, 1].any()
        assert block_mask(4, 2, []).all()

    @pytest.mark.parametrize("absent", [[0, 1], [2], [-1]])
    def test_one_modality_stays_and_numbers_are_in_range(self, absent):
        with pytest.raises(ValueError, match="absent="):
            block_mask(3, 2, absent)


class TestPatterns:
    def test_each_is_drawn_as_often_as_it_weighs(self):
        patterns, weights, n = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]], bool), [5, 0, 2, 3], 20000
        mask = pattern_mask(n, patterns, weights, seed=1)
        found = np.array([(mask == one).all(axis=1).mean() for one in patterns])
        assert near(found, np.array(weights) / 10, n)
        assert found[1] == 0
        assert found.sum() == 1

    def test_mmins_are_those_of_the_reference_and_alike(self, shared):
        with np.load(shared / "reference" / "learning" / "masks.npz", allow_pickle=False) as archive:
            wanted = {tuple(row) for row in archive["mmin_patterns_avl"].tolist()}
        patterns = incomplete_patterns(3)
        assert {tuple(row) for row in patterns.astype(int).tolist()} == wanted
        assert len(patterns) == 6
        mask = pattern_mask(12000, patterns, seed=0)
        assert near(np.array([(mask == one).all(axis=1).mean() for one in patterns]), np.full(6, 1 / 6), 12000)

    def test_a_draw_at_the_border_belongs_to_the_next_and_never_to_a_weight_of_zero(self, monkeypatch):
        patterns = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
        monkeypatch.setattr("modest.data.masks.uniform", lambda ids, seed, stream: np.array([0.0, 0.5, 1 - 2**-53]))
        assert pattern_mask(3, patterns, [1, 1, 0]).argmax(axis=1).tolist() == [0, 1, 1]
        thirds = pattern_mask(3, patterns, [0, 0.1, 0.2])
        assert not thirds[:, 0].any()

    def test_a_row_keeps_its_pattern_in_any_order(self):
        order = np.random.default_rng(0).permutation(400)
        mask = pattern_mask(400, incomplete_patterns(3), None, 5, IDS)
        np.testing.assert_array_equal(mask[order], pattern_mask(400, incomplete_patterns(3), None, 5, IDS[order]))
        assert (mask != pattern_mask(400, incomplete_patterns(3), None, 6, IDS)).any()

    @pytest.mark.parametrize(
        ("patterns", "weights", "said"),
        [([[0, 0]], None, "patterns"), ([], None, "patterns"), ([[1, 0]], [0], "weights"),
         ([[1, 0]], [1, 2], "weights"), ([[1, 0], [1, 1]], [2, -1], "weights"),
         ([[1, 0], [1, 1]], [2, np.nan], "weights")],
    )  # fmt: skip
    def test_what_cannot_be_drawn_is_refused(self, patterns, weights, said):
        with pytest.raises(ValueError, match=said):
            pattern_mask(3, patterns, weights)

    def test_lengths_are_checked(self):
        with pytest.raises(ValueError, match="ids has shape"):
            pattern_mask(3, [[1, 0]], ids=["a"])
        with pytest.raises(ValueError, match="two modalities"):
            incomplete_patterns(1)


class TestRedrawn:
    @pytest.mark.parametrize(("rate", "modalities"), [(0.0, 2), (0.3, 2), (0.5, 2), (0.3, 3), (0.6, 3), (0.7, 4)])
    def test_dropout_of_that_share_has_the_rate(self, rate, modalities):
        n, share = 20000, dropout_share(rate, modalities)
        whole = np.ones((n, modalities), dtype=bool)
        kept = drop_modalities(whole, share, np.random.default_rng(0))
        assert abs(achieved_rate(kept) - rate) <= 4 * np.sqrt(0.25 / (n * modalities))
        assert share - share**modalities / modalities == pytest.approx(rate, abs=1e-12)

    def test_of_two_modalities_it_is_the_law_of_the_mask(self):
        n = 20000
        kept = drop_modalities(np.ones((n, 2), bool), dropout_share(0.3, 2), np.random.default_rng(1))
        found = np.array([(kept == one).all(axis=1).mean() for one in ([1, 1], [1, 0], [0, 1])])
        assert near(found, np.array([0.4, 0.3, 0.3]), n)

    def test_of_three_it_is_as_the_page_says(self):
        p = dropout_share(0.3, 3)
        counts = [3 * (1 - p) * p**2 + p**3, 3 * (1 - p) ** 2 * p, (1 - p) ** 3]
        np.testing.assert_allclose(counts, [0.23, 0.44, 0.33], atol=0.006)

    @pytest.mark.parametrize("rate", [-0.1, 0.6])
    def test_a_rate_that_cannot_be_had_is_refused(self, rate):
        with pytest.raises(ValueError, match=r"0\.5"):
            dropout_share(rate, 2)


def test_a_row_that_would_lose_all_keeps_one_of_its_own():
    rng = np.random.default_rng(0)
    own, mask = rng.random((400, 3)) < 0.6, rng.random((400, 3)) < 0.3
    left = kept_one(own, mask, 2, IDS)
    for i in range(400):
        rest = own[i] & mask[i]
        if rest.any() or not own[i].any():
            assert (left[i] == rest).all()
        else:
            assert left[i].sum() == 1
            assert own[i][left[i]].all()
    lost = own.all(axis=1) & ~mask.any(axis=1)
    assert (left[lost].sum(axis=0) > 0).all()  # not always the first
    order = rng.permutation(400)
    np.testing.assert_array_equal(kept_one(own[order], mask[order], 2, IDS[order]), left[order])


class TestKept:
    @pytest.fixture
    def mask(self):
        return Mask(IDS, ("image", "text", "audio"), missing_mask(400, 3, 0.4, 0, IDS), {"rate": 0.4, "seed": 0})

    def test_it_comes_back_from_its_file_onto_a_table_in_any_order(self, mask, tmp_path):
        path = mask.save(tmp_path / "deep" / "torn.npz")
        found = Mask.load(path)
        order = np.random.default_rng(3).permutation(400)[:150]
        np.testing.assert_array_equal(found.on(IDS[order], ("audio", "image")), mask.present[order][:, [2, 0]])
        assert found.about == {"rate": 0.4, "seed": 0}
        assert found.sha256 == mask.sha256
        before = path.read_bytes()
        assert mask.save(path).read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == ["torn.npz"]

    def test_the_hash_follows_the_cells_alone(self, mask):
        order = np.random.default_rng(3).permutation(400)
        other = Mask(IDS[order], ("text", "audio", "image"), mask.present[order][:, [1, 2, 0]], {"seed": 9})
        assert other.sha256 == mask.sha256
        assert len(mask.sha256) == 64
        cells = mask.present.copy()
        cells[7, 1] ^= True
        assert Mask(IDS, mask.names, cells).sha256 != mask.sha256
        assert Mask(IDS, ("image", "text", "sound"), mask.present).sha256 != mask.sha256
        assert Mask(np.char.add(IDS, "x"), mask.names, mask.present).sha256 != mask.sha256

    def test_what_it_says_nothing_of_is_named(self, mask):
        with pytest.raises(ValueError, match="item 'nobody'"):
            mask.on(["item0003", "nobody"], ("text",))
        with pytest.raises(ValueError, match="item 'zzz'"):  # beyond the last
            mask.on(["zzz"], ("text",))
        with pytest.raises(ValueError, match="'video'"):
            mask.on(["item0003"], ("video",))
        with pytest.raises(ValueError, match="item 'a'"):
            Mask([], ("text",), np.zeros((0, 1))).on(["a"], ("text",))

    @pytest.mark.parametrize(
        ("ids", "names", "cells", "said"),
        [(["a", "a"], ("x",), [[1], [1]], "ids holds 'a' twice"),
         (["a"], ("x", "x"), [[1, 1]], "names holds 'x' twice"),
         (["a"], ("x",), [[1, 1]], "a cell")],
    )  # fmt: skip
    def test_what_is_no_mask_is_refused(self, ids, names, cells, said):
        with pytest.raises(ValueError, match=said):
            Mask(ids, names, cells)

    def test_another_file_is_no_mask(self, tmp_path):
        np.savez(tmp_path / "odd.npz", ids=np.arange(3))
        with pytest.raises(ValueError, match="holds no mask"):
            Mask.load(tmp_path / "odd.npz")
        with pytest.raises(FileNotFoundError):
            Mask.load(tmp_path / "gone.npz")

    def test_views_under_a_mask_lose_cells_and_get_none_back(self, mask):
        own = np.random.default_rng(0).random((400, 2)) < 0.7
        views = Views({"audio": np.ones((400, 2)), "image": np.ones((400, 3))}, own, IDS)
        np.testing.assert_array_equal(mask.under(views).present, own & mask.present[:, [2, 0]])


class TestPool:
    @pytest.fixture
    def pool(self, tmp_path):
        rng = np.random.default_rng(0)
        image, text = rng.normal(size=(40, 4)), rng.normal(size=(40, 3))
        text[::5] = np.nan
        split = np.where(np.arange(40) % 4 == 3, "test", "train")
        label = np.array(["a", "b"])[np.arange(40) % 2]
        return modest.ingest({"image": image, "text": text, "label": label, "split": split}, tmp_path / "pool")

    def test_a_masked_pool_shows_less_and_the_pool_stays(self, pool, tmp_path):
        cells = missing_mask(40, 2, 0.4, 1, pool.ids)
        path = Mask(pool.ids[::-1], ("image", "text"), cells[::-1]).save(pool.path / "masks" / "torn.npz")
        for named in ("torn", path):
            found = masked(modest.open(pool.path), named)
            assert isinstance(found, MaskedPool)
            np.testing.assert_array_equal(found.present, pool.present & cells)
            np.testing.assert_array_equal(found.views().present, pool.present & cells)
            there = table(found, {"text": None, "image": None}).present
            np.testing.assert_array_equal(there, (pool.present & cells)[:, ::-1])
        assert masked(pool, None) is pool
        np.testing.assert_array_equal(modest.open(pool.path).present, pool.present)
        with pytest.raises(FileNotFoundError, match="there are torn"):
            masked(pool, "whole")

    def test_raw_media_are_hidden_too(self, tmp_path):
        pool = modest.ingest({"text": [f"thing {k}" for k in range(6)], "image": np.eye(6)}, tmp_path / "pool")
        cells = np.array([[k % 2, 1 - k % 2] for k in range(6)], dtype=bool)
        found = MaskedPool(pool.path, Mask(pool.ids, ("text", "image"), cells))

        class Lengths(Reading):
            def __getattr__(self, name):  # nothing but presence is asked for
                raise AssertionError(name)

        there = table(found, {"text": object.__new__(Lengths), "image": None}).present
        np.testing.assert_array_equal(there, cells)

    def test_a_mask_of_other_items_is_refused_at_once(self, pool):
        with pytest.raises(ValueError, match="item"):
            MaskedPool(pool.path, Mask(pool.ids[1:], ("image", "text"), np.ones((39, 2))))

    def test_a_training_under_a_mask_is_one_on_less(self, pool):
        cells = missing_mask(40, 2, 0.4, 1, pool.ids)
        settings = {"method": "late", "epochs": 2, "hidden": (), "width": 4}
        train = np.flatnonzero(pool.split == "train")
        under = MaskedPool(pool.path, Mask(pool.ids, ("image", "text"), kept_one(pool.present, cells, 0, pool.ids)))
        clf = modest.MultimodalClassifier(**settings).fit(under)
        views = pool.views()
        less = Views(views.arrays, kept_one(pool.present, cells, 0, pool.ids), pool.ids)
        own = modest.MultimodalClassifier(**settings).fit(less[train], pool.labels[train].astype(str))
        np.testing.assert_allclose(clf.predict_proba(less), own.predict_proba(less))


def test_about_is_plain_json(tmp_path):
    path = Mask(["a"], ("x",), [[True]], {"rate": np.float64(0.5), "rows": np.arange(2)}).save(tmp_path / "m.npz")
    assert json.loads(json.dumps(dict(Mask.load(path).about))) == {"rate": 0.5, "rows": [0, 1]}


def test_equal_masks_give_equal_bytes_in_whatever_order_they_are_told_of(tmp_path):
    told = [Mask(["a"], ("x",), [[True]], about) for about in ({"seed": 1, "law": "cell"}, {"law": "cell", "seed": 1})]
    first, second = (mask.save(tmp_path / f"{k}.npz").read_bytes() for k, mask in enumerate(told))
    assert first == second
