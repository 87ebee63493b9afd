"""The whole chain on the real sets, on small budgets: views -> choice -> tolerant classifier -> scores per modality."""

import numpy as np
import pytest

import modest
from benchmarks.sets import load
from modest.data import missing_mask

# set, what the missing-modality half needs: number of modalities
SETS = {"grid_letter": 2, "fashion": 2, "av_digits": 2, "scene15": 3, "mosi": 3}


@pytest.mark.parametrize("name", SETS)
def test_chain_on_a_real_set(shared, name):
    data = load(name, shared)
    assert len(data.views.names) == SETS[name]
    train, test = np.flatnonzero(data.split == "train"), np.flatnonzero(data.split == "test")
    budget = max(len(data.classes), len(train) // 20)
    pool, held = data.views[train], data.views[test]
    chosen = {}
    for method in ("random", "kcenter", "kmeans", "maxherding", "activeft", "mmcsal"):
        knobs = {"steps": 20} if method in ("activeft", "mmcsal") else {}
        choice = modest.select(pool, budget, method, seed=3, **knobs)
        assert len(set(choice.rows.tolist())) == budget
        chosen[method] = choice.rows
    rows = train[chosen["maxherding"]]
    clf = modest.MultimodalClassifier(method="mla", epochs=15, random_state=0).fit(data.views[rows], data.y[rows])
    majority = max(np.mean(data.y[test] == c) for c in data.classes)
    # mosi has two classes and is hard: only its text says something; elsewhere even few labels are worth a lot
    floor = 0.5 if name == "mosi" else 2.0 * majority
    assert clf.score(held, data.y[test]) > floor

    present = missing_mask(len(test), len(held.names), 0.4, seed=0)
    lacking = modest.Views(held.arrays, present, held.ids)
    weights, own = clf.fusion_weights(lacking), clf.modality_proba(lacking)
    assert (weights[~present] == 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    assert np.isnan(own[~present.T]).all()
    assert np.isfinite(clf.predict_proba(lacking)).all()


def test_speakers_of_the_unseen_split_are_unseen(shared):
    data = load("av_digits", shared)
    train, test = data.split == "train", data.split == "test"
    assert not set(data.groups[train]) & set(data.groups[test])
