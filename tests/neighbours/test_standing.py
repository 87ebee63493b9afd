"""Choosing again on a grown pool: the answer of a run from nothing, at the cost of the new rows alone."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.neighbours import Rows
from modest.neighbours import gains as engine
from modest.neighbours.gains import Gains
from modest.selection.remembered import marks

from .conftest import table

N, MORE = 200, 40
FIRST, SECOND = 25, 12


@pytest.fixture(params=["lazy", "held", "too many held"])
def way(request, monkeypatch):
    """With products all along; with pairs that are held, and remembered or not."""
    early = request.param != "lazy"
    monkeypatch.setattr(Gains, "_pays", lambda self: early and self.pairs is None and self.picked > 2)
    if request.param == "too many held":
        monkeypatch.setattr("modest.neighbours.standing.KEPT", 0)
    return request.param


@pytest.fixture
def computed(monkeypatch):
    """Shapes of all blocks of distances, one entry each."""
    shapes = []
    for module in (engine, modest.neighbours.farthest):
        plain = module.squared_distances

        def watched(a, b, plain=plain):
            shapes.append((len(a), len(b)))
            return plain(a, b)

        monkeypatch.setattr(module, "squared_distances", watched)
    return shapes


def grown(missing=0.0):
    """A pool of N rows, the same with MORE rows among them, and the rows of the first in the second."""
    everything = table(N + MORE, (9, 6), 0, missing)
    ids = np.array([f"{i:04d}" for i in np.random.default_rng(1).permutation(N + MORE)])
    views = Views(everything.arrays, everything.present, ids)
    order = np.random.default_rng(2).permutation(N + MORE)
    place = np.argsort(order)[:N]
    return views[np.arange(N)], views[order], place


def again(method, missing=0.0, **knobs):
    small, large, place = grown(missing)
    before = modest.select(small, FIRST, method, **knobs)
    taken = np.zeros(N + MORE, dtype=bool)
    taken[place[before.rows]] = True
    return before, large, taken


def matches(a, b, method):
    if method == "kcenter":
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
    else:
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-7)
    np.testing.assert_array_equal(a.ids, b.ids)


@pytest.mark.parametrize("method", ["maxherding", "uherding", "kcenter"])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_answer_is_that_without_a_state(method, missing, way):
    before, large, taken = again(method, missing)
    plain = modest.select(large, SECOND, method, taken=taken)
    since = modest.select(large, SECOND, method, taken=taken, since=before)
    matches(since, plain, method)
    assert 0 < since.trace["reused"] < 1
    assert "reuse_refused" not in since.trace
    assert since.trace.get("coverage") == pytest.approx(plain.trace.get("coverage"), abs=1e-6)
    more = taken.copy()
    more[np.flatnonzero(~taken)[:3]] = True  # covered, and the state has not seen it
    beside = modest.select(large, 5, method, taken=more, since=before)
    matches(beside, modest.select(large, 5, method, taken=more), method)
    taken[since.rows] = True
    third = modest.select(large, 6, method, taken=taken, since=since)
    matches(third, modest.select(large, 6, method, taken=taken), method)
    assert third.trace["reused"] == 1.0


def test_weights_that_stayed_and_weights_that_changed(way):
    small, large, place = grown()
    proba = np.random.default_rng(4).dirichlet(np.ones(3), N + MORE)
    given = {"uncertainty": "entropy", "temperature": 1.0, "bandwidth": 0.9}
    before = modest.select(small, FIRST, "uherding", proba=proba[place], **given)
    taken = np.zeros(N + MORE, dtype=bool)
    taken[place[before.rows]] = True
    told = modest.select(large, SECOND, "uherding", taken=taken, proba=proba, since=before, **given)
    assert told.trace["reused"] == 0  # what was chosen is no longer uncertain
    assert "weights" in told.trace["reuse_refused"]
    matches(told, modest.select(large, SECOND, "uherding", taken=taken, proba=proba, **given), "uherding")


def test_only_new_rows_are_computed_where_pairs_are_remembered(computed, monkeypatch):
    monkeypatch.setattr(Gains, "_pays", lambda self: self.pairs is None and self.picked > 2)
    before, large, taken = again("maxherding")
    assert "pairs" in before.state
    computed.clear()
    since = modest.select(large, SECOND, "maxherding", taken=taken, since=before)
    assert since.trace["reused"] > 0.6
    candidates, covered = N + MORE - FIRST, FIRST
    least = MORE * (N - FIRST) + MORE * (N + MORE) + covered * MORE
    assert sum(a * b for a, b in computed) == least < candidates * (N + MORE) / 2


def test_lazily_the_start_costs_new_rows_and_a_pick_a_part(computed, monkeypatch):
    monkeypatch.setattr(Gains, "_pays", lambda self: False)
    before, large, taken = again("maxherding")
    computed.clear()
    modest.select(large, 1, "maxherding", taken=taken)
    cold = sum(a * b for a, b in computed)
    computed.clear()
    modest.select(large, 1, "maxherding", taken=taken, since=before)
    assert sum(a * b for a, b in computed) < 0.7 * cold
    start = MORE * (N - FIRST) + MORE * (N + MORE) + FIRST * MORE
    first = [a * b for a, b in computed][:3]
    assert sum(first) == start


def test_kcenter_computes_distances_of_new_rows(computed):
    before, large, taken = again("kcenter")
    computed.clear()
    modest.select(large, 1, "kcenter", taken=taken, since=before)
    assert computed[0] == (MORE, FIRST)
    assert sum(a * b for a, b in computed[1:]) <= N + MORE + 9  # those to the pick, and between the next ones


def changed_state(case, state, large):
    state = dict(state)
    if case == "bandwidth":
        return state, {"bandwidth": 0.8}, large
    if case == "kernel":
        return state, {"kernel": "student"}, large
    if case == "not a state":
        return {"kernel": "rbf", "bandwidth": 1.0}, {}, large
    arrays = {name: a.copy() for name, a in large.arrays.items()}
    if case == "rows":
        arrays["view0"][large.ids == state["targets"][5]] *= [-1, 1, 1, 1, 1, 1, 1, 1, 1]
    if case == "presence":
        present = np.ones((N + MORE, 2), dtype=bool)
        present[large.ids == state["targets"][5], 0] = False
        return state, {}, Views(arrays, present, large.ids)
    if case == "modalities":
        return state, {}, Views({"other": arrays["view0"], "view1": arrays["view1"]}, None, large.ids)
    if case == "gone":
        return state, {}, Views(arrays, None, large.ids)[large.ids != state["targets"][5]]
    return state, {}, Views(arrays, None, large.ids)


@pytest.mark.parametrize(
    ("case", "told"),
    [("bandwidth", "bandwidth was 1.0"), ("kernel", "kernel was rbf"), ("not a state", "candidates is missing"),
     ("rows", "look different"), ("presence", "look different"), ("modalities", "the modalities were others"),
     ("gone", "no longer are"), ("uncovered", "no longer do")],
)  # fmt: skip
def test_what_does_not_fit_is_computed_anew(case, told):
    before, large, taken = again("maxherding")
    state, knobs, views = changed_state(case, before.state, large)
    mask = np.isin(views.ids, large.ids[taken])
    if case == "uncovered":
        mask[np.flatnonzero(mask)[0]] = False
    found = modest.select(views, SECOND, "maxherding", taken=mask, since=state, **knobs)
    assert found.trace["reused"] == 0
    assert told in found.trace["reuse_refused"]
    matches(found, modest.select(views, SECOND, "maxherding", taken=mask, **knobs), "maxherding")


@pytest.mark.parametrize(
    ("change", "told"),
    [(lambda s: s.pop("closest"), "closest is missing"),
     (lambda s: s.update(modalities=np.array(["x", "9"])), "modalities were others"),
     (lambda s: s.update(marks=s["marks"] + 0.1), "look different"),
     (lambda s: s.update(covered=np.array(["0000", "0001", "0002"])), "no longer do")],
)  # fmt: skip
def test_kcenter_checks_what_it_is_given(change, told):
    before, large, taken = again("kcenter")
    state = dict(before.state)
    change(state)
    found = modest.select(large, SECOND, "kcenter", taken=taken, since=state)
    assert found.trace["reused"] == 0
    assert told in found.trace["reuse_refused"]
    matches(found, modest.select(large, SECOND, "kcenter", taken=taken), "kcenter")


def test_a_mark_tells_absence_even_where_the_values_do_not():
    hidden = np.array([[np.cos(1.0), -1.0], [1.0, 0.0]])  # the first row is orthogonal to the vector of the marks
    views = {"a": hidden, "b": np.ones((2, 2))}
    there, gone = (marks(Rows(Views(views, p)), np.arange(2)) for p in (None, np.array([[False, True], [True, True]])))
    assert abs(there - gone)[0] > 0.1
    assert there[1] == pytest.approx(gone[1])


def test_a_state_can_be_written_without_pickle(tmp_path):
    for method in ("maxherding", "kcenter"):
        before, large, taken = again(method)
        np.savez(tmp_path / "state.npz", **before.state)
        with np.load(tmp_path / "state.npz", allow_pickle=False) as z:
            state = {name: z[name] for name in z.files}
        found = modest.select(large, SECOND, method, taken=taken, since=state)
        assert found.trace["reused"] > 0.5
