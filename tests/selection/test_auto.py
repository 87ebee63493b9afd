"""Auto against slow loops, its shared space against a plain generalised CCA, its reasons, its handover, its memory."""

import numpy as np
import pytest

import modest
from modest.neighbours import Rows
from modest.selection import METHODS, select, shared
from modest.selection.auto import carried
from modest.selection.space import look

auto = METHODS["auto"].function


def pool(n=120, seed=0, absent=0.0, noise=0.5, dims=(6, 9)):
    """Two views of one hidden cause of three dimensions, which both show beside noise of their own."""
    rng = np.random.default_rng(seed)
    cause = rng.normal(size=(n, 3))
    arrays = {f"v{m}": cause @ rng.normal(size=(3, d)) + noise * rng.normal(size=(n, d)) for m, d in enumerate(dims)}
    present = None
    if absent:
        present = rng.random((n, len(dims))) >= absent
        present[~present.any(axis=1), 0] = True
    return modest.Views(arrays, present)


def own_space(table, present):
    """Centred unit rows per modality, by hand."""
    parts = []
    for m, x in enumerate(table.arrays.values()):
        there = present[:, m]
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        moved = unit - unit[there].mean(axis=0)
        parts.append(np.where(there[:, None], moved / np.linalg.norm(moved, axis=1, keepdims=True), 0.0))
    return parts


def plain_gcca(parts, present, width=20):
    """Vectors of the shared space by full singular value decompositions."""
    scores = []
    for m, x in enumerate(parts):
        there = present[:, m]
        several = there & (present.sum(axis=1) > 1)
        mean = x[several].mean(axis=0)
        _, s, v = np.linalg.svd(x[several] - mean, full_matrices=False)
        k = max(1, min(100, x.shape[1], several.sum() // 5))
        variance = s[:k] ** 2 / several.sum()
        scores.append(np.where(there[:, None], (x - mean) @ v[:k].T / np.sqrt(variance + 0.1 * variance.mean()), 0.0))
    fitted = np.concatenate(scores, axis=1)[present.sum(axis=1) > 1]
    width = min(width, sorted(s.shape[1] for s in scores)[-2])
    w = np.linalg.svd(fitted, full_matrices=False)[2][:width].T
    parts, begin = [], 0
    for s in scores:
        parts.append(s @ w[begin : begin + s.shape[1]])
        begin += s.shape[1]
    return parts


def whole_distance(own, vectors, present):
    """d2 of auto.py by loops: half the mean over shared modalities, half the shared space."""
    n, modalities = present.shape
    e = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    d2 = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            both = [m for m in range(modalities) if present[i, m] and present[j, m]]
            total = sum(((own[m][i] - own[m][j]) ** 2).sum() for m in both) + modalities * ((e[i] - e[j]) ** 2).sum()
            d2[i, j] = total / (len(both) + modalities)
    return d2


def greedy(d2, weight, budget, covered=()):
    nearest = np.full(len(d2), 4.0)
    for row in covered:
        nearest = np.minimum(nearest, d2[row])
    picks = []
    for _ in range(budget):
        gain = weight * (weight * np.maximum(0.0, nearest - d2)).sum(axis=1)
        gain[[*picks, *covered]] = -1.0
        picks.append(int(gain.argmax()))
        nearest = np.minimum(nearest, d2[picks[-1]])
    return picks


@pytest.mark.parametrize("absent", [0.0, 0.3])
@pytest.mark.parametrize("dims", [(6, 9), (5, 7, 8)])
def test_picks_are_those_of_the_equations(absent, dims):
    table = pool(150, absent=absent, dims=dims)
    table.arrays["v1"][::3] = np.roll(table.arrays["v1"][::3], 1, axis=0)  # halves that do not belong together
    present = np.ones((150, len(dims)), bool) if table.present is None else table.present
    own = own_space(table, present)
    parts = plain_gcca(own, present)
    space = look(table, 0, device="cpu")
    d2 = whole_distance(own, sum(parts), present)
    weight = np.where(np.isnan(space.agreement), 1.0, np.clip(space.agreement / 0.25, 0.05, 1.0))
    assert (weight < 1).any() or len(dims) == 3  # of three, two that fit outvote the third
    choice = auto(table, 12, device="cpu")
    assert choice.rows.tolist() == greedy(d2, weight, 12)


def test_one_modality_is_plain_facility_location():
    table = modest.Views({"x": np.random.default_rng(3).normal(size=(60, 5))})
    own = own_space(table, np.ones((60, 1), bool))[0]
    d2 = ((own[:, None] - own[None]) ** 2).sum(-1)
    taken = np.zeros(60, bool)
    taken[[4, 9]] = True
    choice = auto(table, 8, taken=taken, device="cpu")
    assert choice.rows.tolist() == greedy(d2, np.ones(60), 8, covered=[4, 9])
    assert "agreement" not in choice.trace
    assert "agreement" not in choice.reasons[0]


def test_agreement_is_the_share_of_strangers_that_agree_less():
    table = pool(300, noise=0.3)
    rows = Rows(table, device="cpu", centre=True)
    maps = shared.fit(rows, 0)
    _, agreement = shared.apply(rows, maps)
    parts = plain_gcca(own_space(table, np.ones((300, 2), bool)), np.ones((300, 2), bool))
    unit = [p / np.linalg.norm(p, axis=1, keepdims=True) for p in parts]
    cosine = unit[0] @ unit[1].T
    strangers = cosine[~np.eye(300, dtype=bool)]
    want = (strangers[None] < np.diag(cosine)[:, None]).mean(axis=1)
    assert np.abs(agreement - want).mean() < 0.03  # the strangers drawn are 300 of 89,700
    assert np.median(agreement) > 0.9


def test_wrong_pairs_agree_like_strangers():
    table = pool(600, noise=0.3)
    wrong = np.arange(0, 600, 4)
    table.arrays["v1"][wrong] = np.roll(table.arrays["v1"][wrong], 1, axis=0)
    agreement = look(table, 0, device="cpu").agreement
    right = np.setdiff1d(np.arange(600), wrong)
    assert 0.35 < agreement[wrong].mean() < 0.65
    assert agreement[right].mean() > 0.85
    strange = np.flatnonzero(agreement < 0.1)
    chosen = auto(table, 60, device="cpu").rows
    unweighted = auto(table, 60, agree=False, device="cpu").rows
    assert np.isin(chosen, strange).sum() < np.isin(unweighted, strange).sum()


def test_items_of_one_modality_have_no_agreement_and_count_in_full():
    table = pool(160, absent=0.4)
    space = look(table, 0, device="cpu")
    lonely = table.present.sum(axis=1) == 1
    np.testing.assert_array_equal(np.isnan(space.agreement), lonely)
    np.testing.assert_array_equal(space.weights[lonely], 1.0)


def test_a_modality_that_never_changes_agrees_like_a_stranger():
    table = pool(100)
    constant = modest.Views({**table.arrays, "v1": np.ones((100, 9))})
    np.testing.assert_allclose(look(constant, 0, device="cpu").agreement, 0.5)


def test_few_items_with_two_modalities_fit_nothing():
    table = pool(100)
    present = np.ones((100, 2), bool)
    present[39:, 1] = False
    assert look(modest.Views(table.arrays, present), 0, device="cpu").agreement is None


@pytest.mark.parametrize("names", [("shared", "b"), ("shared_", "b"), ("shared", "shared__")])
def test_modalities_may_be_called_what_they_like(names):
    table = pool(120)
    own = modest.Views(dict(zip(names, table.arrays.values())))
    assert auto(own, 8, device="cpu").rows.tolist() == auto(table, 8, device="cpu").rows.tolist()


def test_a_modality_that_nothing_has_changes_nothing():
    table = pool(150)
    more = modest.Views({**table.arrays, "audio": np.full((150, 4), np.nan)})
    assert auto(more, 12, device="cpu").rows.tolist() == auto(table, 12, device="cpu").rows.tolist()


def test_a_rare_modality_leaves_the_shared_space_its_width():
    table = pool(150, dims=(6, 9, 5))
    table.arrays["v2"][7:] = np.nan
    assert look(table, 0, device="cpu").rows.dims[-1] == 6


def test_picks_without_agreement_have_none_to_tell(recwarn):
    table = pool(100)
    taken = np.arange(100) < 50
    choice = auto(modest.Views(table.arrays, np.stack([np.ones(100, bool), taken], axis=1)), 3, taken=taken)
    assert choice.trace["agreement"] is None
    assert not recwarn.list


@pytest.mark.parametrize("dims", [(6,), (6, 8), (6, 9, 4)])
def test_the_state_of_other_modalities_is_refused_and_the_answer_is_that_without_it(dims):
    old, new = pool(120), pool(120, dims=dims)
    taken = np.arange(120) < 5
    found = auto(new, 6, taken=taken, since=auto(old, 5, device="cpu").state, device="cpu")
    assert found.trace["reuse_refused"] == "the modalities were others"
    assert found.rows.tolist() == auto(new, 6, taken=taken, device="cpu").rows.tolist()


@pytest.mark.parametrize("name", ["candidates", "targets"])
def test_samples_of_nothing_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}=0 is below one"):
        auto(pool(60), 3, **{name: 0}, device="cpu")


class TestHandover:
    def clustered(self, n=200, seed=0):
        rng = np.random.default_rng(seed)
        truth = rng.integers(4, size=n)
        table = {m: 3 * rng.normal(size=(4, 6))[truth] + rng.normal(size=(n, 6)) for m in ("a", "b")}
        return modest.Views(table), truth

    def test_labels_that_carry_over_make_it_warm_and_doubt_attract(self):
        table, truth = self.clustered()
        labels = np.full(200, -1)
        labels[:40] = truth[:40]
        proba = np.full((200, 4), 0.01)
        proba[np.arange(200), truth] = 0.97
        doubtful = np.arange(100, 140)
        proba[doubtful] = 0.25
        choice = select(table, 10, "auto", proba=proba, labels=labels, device="cpu")
        cold = select(table, 10, "auto", taken=labels >= 0, device="cpu")
        assert choice.trace["mode"] == "warm"
        assert "of 40 labelled items" in choice.trace["why"]
        assert np.isin(choice.rows, doubtful).sum() > np.isin(cold.rows, doubtful).sum()
        assert "uncertainty" in choice.reasons[0]

    def test_labels_that_say_nothing_leave_it_cold_and_equal_to_a_cold_choice(self):
        table, _ = self.clustered()
        rng = np.random.default_rng(5)
        labels = np.full(200, -1)
        labels[:40] = rng.integers(4, size=40)
        proba = rng.dirichlet(np.ones(4), 200)
        choice = select(table, 10, "auto", proba=proba, labels=labels, device="cpu")
        cold = select(table, 10, "auto", taken=labels >= 0, device="cpu")
        assert choice.trace["mode"] == "cold"
        assert "too few labels" in choice.trace["why"]
        assert choice.rows.tolist() == cold.rows.tolist()

    def test_carried_counts_nearest_labelled_neighbours(self):
        table = modest.Views({"x": np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [-1.0, 0.0]])})
        hits, chance = carried(Rows(table, device="cpu"), np.arange(4), np.array([0, 0, 1, 0]))
        assert hits == 2
        assert chance == pytest.approx(6 / 12)

    def test_probabilities_without_labels_are_refused(self):
        table, _ = self.clustered()
        with pytest.raises(ValueError, match="proba comes without labels"):
            select(table, 5, "auto", proba=np.full((200, 4), 0.25), device="cpu")


def test_reasons_count_what_each_choice_covers():
    table = pool(80)
    choice = auto(table, 6, device="cpu")
    space = look(table, 0, device="cpu")
    block = space.rows.take(np.arange(80))
    from modest.neighbours.rows import squared_distances

    d2 = squared_distances(block, block).numpy()
    owner = d2[:, choice.rows].argmin(axis=1)
    for k, reason in enumerate(choice.reasons):
        assert reason.startswith(
            f"covers {(owner == k).sum()} items like it; agreement {space.agreement[choice.rows[k]]:.2f}"
        )
    before = d2[choice.rows[3], choice.rows[:3]]
    told = f"nearest chosen before {choice.ids[before.argmin()]} at {before.min() ** 0.5:.2f}"
    assert choice.reasons[3].endswith(told)
    assert "nearest" not in choice.reasons[0]


class TestGrownPool:
    def grown(self):
        whole = pool(160, seed=4)
        return whole[np.arange(120)], whole

    def test_space_of_the_first_choice_is_kept_and_only_new_rows_are_computed(self):
        small, whole = self.grown()
        first = select(small, 10, "auto", device="cpu")
        taken = np.zeros(160, bool)
        taken[first.rows] = True
        second = select(whole, 10, "auto", taken=taken, since=first, device="cpu")
        assert second.trace["reused"] > 0.4
        space = look(whole, 0, device="cpu", since=first.state)
        block = space.rows.take(np.arange(160))
        from modest.neighbours.rows import squared_distances

        d2 = squared_distances(block, block).double().numpy()
        assert second.rows.tolist() == greedy(d2, space.weights, 10, covered=first.rows.tolist())
        old = look(small, 0, device="cpu").agreement
        np.testing.assert_array_equal(space.agreement[:120], old)

    def test_items_of_one_modality_weigh_as_they_did(self):
        whole = pool(160, absent=0.3)
        first = select(whole[np.arange(120)], 10, "auto", device="cpu")
        second = select(whole, 10, "auto", taken=np.isin(np.arange(160), first.rows), since=first, device="cpu")
        assert second.trace["reused"] > 0.4

    @pytest.mark.parametrize(
        ("old", "knobs", "told"), [(120, {"together": False}, "together was"), (79, {}, "doubled")]
    )
    def test_a_space_of_other_knobs_or_of_another_pool_is_fitted_anew(self, old, knobs, told):
        whole = pool(160)
        first = select(whole[np.arange(old)], 10, "auto", device="cpu", **knobs)
        taken = np.isin(np.arange(160), first.rows)
        second = select(whole, 10, "auto", taken=taken, since=first, device="cpu")
        assert told in second.trace["reuse_refused"]
        assert second.rows.tolist() == select(whole, 10, "auto", taken=taken, device="cpu").rows.tolist()

    def test_with_probabilities_nothing_earlier_holds(self):
        small, whole = self.grown()
        first = select(small, 10, "auto", device="cpu")
        labels, rng = np.full(160, -1), np.random.default_rng(1)
        labels[first.rows] = rng.integers(2, size=10)
        given = {"proba": rng.dirichlet(np.ones(2), 160), "labels": labels, "device": "cpu"}
        second = select(whole, 10, "auto", since=first, **given)
        assert second.rows.tolist() == select(whole, 10, "auto", **given).rows.tolist()
        assert second.trace["reused"] == 0.0
        assert "probabilities" in second.trace["reuse_refused"]

    def test_a_state_that_does_not_fit_is_as_none(self):
        small, whole = self.grown()
        first = select(small, 10, "auto", device="cpu")
        alone = select(whole, 10, "auto", device="cpu")  # the first choice does not count as covered
        second = select(whole, 10, "auto", since=first, device="cpu")
        assert second.rows.tolist() == alone.rows.tolist()
        assert second.trace["reused"] == 0.0
        assert second.trace["reuse_refused"]
