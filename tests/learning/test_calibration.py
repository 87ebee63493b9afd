"""Temperatures, and the rows they are taken from: those that validate, or folds of the training rows."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from modest import MultimodalClassifier, load
from modest.encoders.table import table
from modest.learning import FUSIONS, METHODS, Towers
from modest.learning.auto import Auto
from modest.learning.calibration import Calibrated, spoken, temperature
from modest.learning.course import FOLDS
from modest.learning.crossfit import crossfit, folds
from modest.learning.holdout import Labelled
from modest.training import Batch, Batches, Plan, World
from modest.training.fit import fit
from modest.types import Views


def nll(z, y, T):
    return -log_softmax(z / T, axis=1)[np.arange(len(y)), y].mean()


@pytest.mark.parametrize("seed", range(4))
def test_temperature_is_the_least_over_a_fine_grid(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(80, 4)) * 3
    y = np.where(rng.random(80) < 0.5, z.argmax(axis=1), rng.integers(4, size=80))
    found = temperature(z, y)
    grid = np.exp(np.linspace(-3, 3, 2001))
    assert nll(z, y, found) <= min(nll(z, y, T) for T in grid) + 1e-7
    assert temperature(2 * z, y) == pytest.approx(2 * found, rel=1e-3)  # a scale of the logits is a temperature


def test_temperature_of_two_classes_in_closed_form():
    """With constant margin m and a share q of right answers, m / T = log(q / (1 - q))."""
    z, y = np.tile([2.0, 0.0], (20, 1)), np.array([0] * 15 + [1] * 5)
    assert temperature(z, y) == pytest.approx(2 / np.log(3), rel=1e-3)


def test_temperature_stays_in_bounds():
    z = np.eye(2)[[0, 1, 0]] * 3
    assert 1 / 20 <= temperature(z, np.array([0, 1, 0])) < 0.2  # all right: the surer the better
    assert 19 < temperature(z, np.array([1, 0, 1])) <= 20  # all wrong
    assert temperature(z[:0], np.zeros(0, dtype=int)) == 1


def test_folds_divide_the_rows_and_keep_groups_and_classes():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 20)
    parts = list(folds(y, 5, seed=1))
    assert sorted(np.concatenate(parts).tolist()) == list(range(60))
    assert all(np.bincount(y[part]).tolist() == [4, 4, 4] for part in parts)
    assert [p.tolist() for p in parts] == [p.tolist() for p in folds(y, 5, seed=1)]
    assert [p.tolist() for p in parts] != [p.tolist() for p in folds(y, 5, seed=2)]
    groups = rng.integers(9, size=60)
    torn = list(folds(y, 5, seed=1, groups=groups))
    assert sorted(np.concatenate(torn).tolist()) == list(range(60))
    assert all(not set(groups[part]) & set(np.delete(groups, part)) for part in torn)
    assert len(list(folds(np.array([0, 1, 2]), 5, seed=0))) == 3  # a row each; no class could be known
    assert not list(folds(np.array([0, 1]), 5, seed=0, groups=["a", "a"]))


def parts(n=40, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = {"a": rng.normal(size=(n, 4)) + y[:, None], "b": rng.normal(size=(n, 3))}
    present = rng.random((n, 2)) < 0.8
    present[~present.any(axis=1), 0] = True
    found = table(Views(x, present), {"a": None, "b": None})
    generator = torch.Generator().manual_seed(0)
    recipe = METHODS["auto"].build(Towers.over([4, 3], 5, generator), ["a", "b"], 3, generator)

    def batches(data, training):
        return Batches(found.columns, found.present, data.rows, data.y, 8, 0, shuffle=training, augment=False)

    return recipe, Labelled(found, y, np.arange(n)), batches


def test_crossfit_asks_each_row_of_a_model_that_did_not_see_it():
    """Against the same trainings by hand, one per fold."""
    recipe, data, batches = parts()
    before = copy.deepcopy(recipe.net.state_dict())
    plan = Plan(epochs=2, lr=0.05, seed=3)
    logits, there, y = crossfit(recipe, data, batches, plan, World(), 4)
    assert all(torch.equal(before[name], tensor) for name, tensor in recipe.net.state_dict().items())
    at = 0
    for out in folds(data.y, 4, 3):
        by_hand = copy.deepcopy(recipe)
        inside = Labelled(data.table, data.y, np.setdiff1d(data.rows, out))
        for _ in fit(by_hand.stages(), batches(inside, True), plan):
            pass
        expected = spoken(by_hand, batches(Labelled(data.table, data.y, out), False))
        place = slice(at, at + len(out))
        np.testing.assert_array_equal(logits[:, place], expected[0])
        np.testing.assert_array_equal(there[place], expected[1])
        np.testing.assert_array_equal(there[place, :2], data.table.present[out])
        np.testing.assert_array_equal(y[place], data.y[out])
        at += len(out)
    assert at == len(data.rows)


def test_crossfit_leaves_out_classes_the_other_folds_lack():
    recipe, data, batches = parts()
    lone = data.y.copy()
    lone[7] = 2
    lone[lone == 2] = 1
    lone[7] = 2  # the only row of its class
    told = crossfit(recipe, Labelled(data.table, lone, data.rows), batches, Plan(epochs=1), World(), 4)
    assert len(told[2]) == 39
    assert 2 not in told[2]
    rows = np.array([0, 1, 2])  # one row a class: nothing can be known
    assert crossfit(recipe, Labelled(data.table, data.y, rows), batches, Plan(epochs=1), World(), 4) is None


@pytest.mark.parametrize("validation", [None, False])
def test_a_recipe_is_calibrated_on_rows_that_did_not_train(validation, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = {"a": rng.normal(size=(90, 4)) + y[:, None], "b": rng.normal(size=(90, 3))}
    told = []
    calibrate = Auto.calibrate

    def watched(self, logits, there, y):
        told.append((self, logits, y))
        calibrate(self, logits, there, y)

    monkeypatch.setattr(Auto, "calibrate", watched)
    clf = MultimodalClassifier(method="auto", epochs=3, hidden=(), width=4).fit(X, y, validation=validation)
    ((recipe, logits, classes),) = told
    assert isinstance(recipe, Calibrated)
    assert recipe is clf.recipe_
    assert FOLDS == 5
    assert len(classes) == (90 if validation is False else 12)  # 15 % of each class of 30 rows, four
    assert recipe.temperatures.tolist() == pytest.approx([temperature(z, classes) for z in logits])
    said = spoken(recipe, all_rows(clf, X))[0]
    known = {tuple(np.round(z, 5)) for z in said[0]}
    mine = {tuple(np.round(z, 5)) for z in logits[0]}
    assert mine <= known if validation is None else not mine & known  # of models that did not see the row


def all_rows(clf, X):
    found = clf.trained_.reader.read(X)
    return Batches(found.columns, found.present, np.arange(len(found)), size=99, shuffle=False)


def test_temperatures_are_saved_and_read(tmp_path):
    rng = np.random.default_rng(0)
    X, y = {"a": rng.normal(size=(60, 4)), "b": rng.normal(size=(60, 3))}, np.arange(60) % 2
    clf = MultimodalClassifier(method="auto", epochs=5, width=4).fit(X, y)
    assert (clf.recipe_.temperatures != 1).all()
    clf.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert torch.equal(again.recipe_.temperatures, clf.recipe_.temperatures)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


# auto


def slow(recipe, one):
    """Losses and vote of auto by plain loops in numpy; one linear layer a tower."""
    state = {k: v.numpy() for k, v in recipe.net.state_dict().items()}
    T = recipe.temperatures.numpy()
    n, C = len(one), state["head.bias"].shape[0]
    losses, voted, weights = [], np.zeros((n, C)), np.zeros((n, 2))
    sums = {key: [] for key in (0, 1, "joint")}
    for i in range(n):
        f, own = [], {}
        for m in range(2):
            if one.present[i, m]:
                W, b = state[f"towers.encoders.{m}.layers.0.weight"], state[f"towers.encoders.{m}.layers.0.bias"]
                f.append(W @ one.x[m][i].numpy() + b)
                own[m] = state[f"own.{m}.weight"] @ f[m] + state[f"own.{m}.bias"]
                sums[m].append(-log_softmax(own[m])[int(one.y[i])])
            else:
                f.append(np.zeros(5))
        joint = state["head.weight"] @ np.concatenate(f) + state["head.bias"]
        sums["joint"].append(-log_softmax(joint)[int(one.y[i])])
        experts = {**{m: z / T[m] for m, z in own.items()}, "joint": joint / T[2]}
        sure = {k: np.exp((np.exp(log_softmax(z)) * log_softmax(z)).sum()) for k, z in experts.items()}
        if not float(recipe.vote[1]):
            sure = dict.fromkeys(sure, 1.0)
        sure["joint"] *= float(recipe.vote[2])
        share = {k: value / sum(sure.values()) for k, value in sure.items()}
        voted[i] = sum(share[k] * z for k, z in experts.items()) / float(recipe.vote[0])
        voice = {k: share[k] / T[2 if k == "joint" else k] for k in share}
        for m in own:
            weights[i, m] = (voice[m] + voice["joint"] / len(own)) / sum(voice.values())
    losses = sum(np.mean(values) for values in sums.values() if values)
    return losses, voted, weights


@pytest.mark.parametrize("joint", [0.0, 1.0])
@pytest.mark.parametrize("entropic", [0.0, 1.0])
@pytest.mark.parametrize("absent", [False, True])
def test_auto_equals_a_slow_loop(absent, entropic, joint):
    generator = torch.Generator().manual_seed(0)
    towers = Towers.over([4, 3], 5, generator, dtype=torch.float64)
    recipe = METHODS["auto"].build(towers, ["a", "b"], 3, generator)
    with torch.no_grad():
        recipe.temperatures.copy_(torch.tensor([0.5, 2.0, 1.3]))
        recipe.vote.copy_(torch.tensor([0.7, entropic, joint]))
    rng = np.random.default_rng(1)
    present = np.ones((9, 2), dtype=bool)
    if absent:
        present[:4, 1], present[4:6, 0] = False, False
    x = [np.where(present[:, m, None], rng.normal(size=(9, d)), 0.0) for m, d in enumerate((4, 3))]
    one = Batch(tuple(map(torch.from_numpy, x)), torch.from_numpy(present), torch.from_numpy(rng.integers(3, size=9)))
    ((group, loss),) = recipe.turns(one)
    expected, voted, weights = slow(recipe, one)
    assert group == "all"
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-10)
    found = recipe.logits(one)
    np.testing.assert_allclose(found.fused.detach(), voted, atol=1e-10)
    np.testing.assert_allclose(found.weights.detach(), weights, atol=1e-10)
    np.testing.assert_allclose(found.weights.detach().sum(dim=1), 1.0)


CASES = {  # who knows what -> the vote that is likeliest
    "each its own rows": ("entropy", True),
    "all are noisy": ("mean", True),
    "the joint head knows nothing": ("mean", False),
}


@pytest.mark.parametrize("fusion", ["likelier", "mean", "entropy"])
@pytest.mark.parametrize("case", CASES)
def test_the_vote_is_the_likeliest_one_at_its_temperature(case, fusion):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=600)
    sharp = case == "each its own rows"
    z = rng.normal(size=(3, 600, 3)) * (0.1 if sharp else 1.0)
    z[np.arange(600) % 3 if sharp else slice(None), np.arange(600), y] += 8 if sharp else 1.5
    if case.startswith("the joint"):
        z[2] = rng.normal(size=(600, 3))
    there = np.ones((600, 3), dtype=bool)
    generator = torch.Generator().manual_seed(0)
    recipe = METHODS["auto"].build(Towers.over([4, 3], 5, generator), ["a", "b"], 3, generator, {"fusion": fusion})
    assert recipe.vote.tolist() == [1.0, float(fusion == "entropy"), 0.0]  # before: the own heads alone
    recipe.calibrate(z, there, y)
    T = np.array([temperature(expert, y) for expert in z])
    np.testing.assert_allclose(recipe.temperatures, T, rtol=1e-5)
    found = {}
    for name, fuse in FUSIONS.items():
        for joint in (False, True):
            fused = fuse(torch.from_numpy((z / T[:, None, None])[: 2 + joint]))[0].numpy()
            warm = temperature(fused, y)
            found[name, joint] = (nll(fused, y, warm), warm)
    best = min((key for key in found if fusion in ("likelier", key[0])), key=found.get)
    expected = [found[best][1], float(best[0] == "entropy"), float(best[1])]
    assert recipe.vote.tolist() == pytest.approx(expected, rel=1e-5)
    assert fusion != "likelier" or best == CASES[case]


def test_detach_keeps_the_joint_loss_from_the_encoders():
    for detach in (False, True):
        generator = torch.Generator().manual_seed(0)
        recipe = METHODS["auto"].build(Towers.over([4], 5, generator), ["a"], 3, generator, {"detach": detach})
        with torch.no_grad():
            recipe.own[0].weight.zero_()  # so that the modality's own loss says nothing to its encoder
        one = Batch((torch.randn(6, 4, generator=generator),), torch.ones(6, 1, dtype=torch.bool), torch.arange(6) % 3)
        next(iter(recipe.turns(one)))[1].backward()
        assert bool(recipe.towers.encoders[0].layers[0].weight.grad.any()) is not detach
        assert recipe.head.weight.grad.any()


def test_a_temperature_lowers_the_voice_of_a_modality_that_learned_its_rows_by_heart():
    """Noise that separates the training rows is as sure of itself as the truth, until folds tell."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = {"true": rng.normal(size=(60, 6)) + 1.5 * np.eye(3, 6)[y], "noise": rng.normal(size=(60, 80))}
    clf = MultimodalClassifier(method="auto", epochs=40, lr=3e-3).fit(X, y, validation=False)
    true, noise, _ = clf.recipe_.temperatures.tolist()
    assert noise > 3 * true


def test_groups_of_another_length_are_named():
    X, y = {"a": np.eye(4).repeat(10, axis=0)}, np.arange(4).repeat(10)
    with pytest.raises(ValueError, match="one group per row"):
        MultimodalClassifier(method="late", epochs=1).fit(X, y, validation=False, groups=np.zeros(7))
