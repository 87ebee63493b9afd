"""Modalities trained on their own: nobody feels the others, each keeps its best epoch, one is plain training."""

import numpy as np
import pytest
import torch

from modest import MultimodalClassifier
from modest.learning.fusion import FUSIONS
from modest.training import Batches, Plan, ready
from modest.training.fit import fit
from modest.types import Views
from tests.learning.test_recipes import CLASSES, NAMES, N, batch, build


def data(one, size=5):
    views = Views(dict(zip(NAMES, (x.numpy() for x in one.x))))
    return Batches(ready(views, torch.float64), one.present.numpy(), np.arange(N), one.y.numpy(), size)


@pytest.mark.parametrize("validation", [None, False])
def test_one_modality_is_late_and_plain_training_to_the_bit(validation):
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = {"a": rng.normal(size=(120, 5)) + y[:, None]}
    found = [
        MultimodalClassifier(method=method, epochs=6, lr=1e-2, batch_size=16).fit(X, y, validation=validation)
        for method in ("unimodal", "late")
    ]
    a, b = (clf.recipe_.net.state_dict() for clf in found)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert np.array_equal(found[0].predict_proba(X), found[1].predict_proba(X))
    if validation is None:
        best = [[record.values["best"] for record in clf.history_] for clf in found]
        assert best[0] == best[1]
        assert sum(best[0]) < 6  # an epoch before the last was kept


def test_without_validation_three_stages_are_late_to_the_bit():
    """The losses do not touch each other, so stages change nothing but which epoch is kept."""
    one, plan = batch(), Plan(epochs=4, lr=0.05, weight_decay=0.1)
    alone, late = build("unimodal", hidden=(7,)), build("late", hidden=(7,))
    for recipe in (alone, late):
        for _ in fit(recipe.stages(), data(one), plan):
            pass
    a, b = alone.net.state_dict(), late.net.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    assert torch.equal(alone.logits(one).fused, late.logits(one).fused)


def test_what_the_others_hold_does_not_matter():
    one, other = batch(), batch()
    other.x[2].mul_(-7.0)
    nets = []
    for given in (one, other):
        recipe = build("unimodal")
        for _ in fit(recipe.stages(), data(given), Plan(epochs=2, lr=0.1)):
            pass
        nets.append(recipe.net.state_dict())
    for name in nets[0]:
        moved = "2" in name.split(".") and not name.endswith(("shift", "scale"))
        assert torch.equal(nets[0][name], nets[1][name]) != moved


def test_a_stage_moves_its_modality_only_and_keeps_its_own_best_epoch():
    best_epoch = {"unimodal/image": 0, "unimodal/text": 3, "unimodal/audio": 1}
    recipe, one = build("unimodal"), batch()
    seen, snapshots, asked = {}, {}, []

    def state():
        return {name: p.detach().clone() for name, p in recipe.net.named_parameters()}

    def validate(task):
        epoch = seen[task.name] = seen.get(task.name, -1) + 1
        asked.append(task.logits(one))
        snapshots[task.name, epoch] = state()
        return (-abs(epoch - best_epoch[task.name]),), {}

    before = state()
    records = list(fit(recipe.stages(), data(one), Plan(epochs=5, lr=0.1), validate))
    assert [r.stage for r in records if "losses" in r.values] == [name for name in best_epoch for _ in range(5)]
    assert all(set(r.values["losses"]) == {r.stage.split("/")[1]} for r in records if "losses" in r.values)
    for m, (stage, best) in enumerate(best_epoch.items()):
        own = {name for name in before if name.split(".")[2:3] == [str(m)] or name.startswith(f"heads.{m}.")}
        last, kept = snapshots[stage, 4], snapshots[stage, best]
        for name, p in recipe.net.named_parameters():
            if name in own:
                assert torch.equal(p, kept[name]), name
                assert not p.requires_grad or not torch.equal(p, last[name])
            else:
                assert all(torch.equal(snapshots[stage, e][name], snapshots[stage, 0][name]) for e in range(5)), name
    for m in range(3):  # what a stage is judged by: its own modality, nothing where that is absent
        for told in asked[5 * m : 5 * m + 5]:
            there = one.present[:, m]
            assert torch.equal(told.fused, told.modality[m])
            assert not told.fused[~there].any()
            assert told.fused[there].any(dim=1).all()
            assert torch.equal(told.weights[:, m], there.to(told.weights))
            assert not told.weights.sum(dim=1)[~there].any()
            assert not told.modality[[k for k in range(3) if k != m]].any()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_prediction_is_the_fusion_of_the_stages(fusion):
    recipe, one = build("unimodal", {"fusion": fusion}), batch()
    own = torch.stack([task.logits(one).modality[m] for m, task in enumerate(recipe.stages())])
    fused, weights = FUSIONS[fusion](own, one.present)
    found = recipe.logits(one)
    torch.testing.assert_close(found.modality, own)
    torch.testing.assert_close(found.fused, fused)
    torch.testing.assert_close(found.weights, weights)
    assert found.fused.shape == (N, CLASSES)


def test_rates_may_name_any_modality():
    """Every stage's optimiser knows every encoder, or a rate for another stage's would be an error."""
    rng = np.random.default_rng(0)
    X = {"a": rng.normal(size=(30, 4)), "b": rng.normal(size=(30, 3))}
    clf = MultimodalClassifier(method="unimodal", epochs=1, rates={"a": 1e-9, "b": 1e-2}, weight_decay=0.0)
    first = MultimodalClassifier(method="unimodal", epochs=1, lr=1e-12, weight_decay=0.0)
    nets = [c.fit(X, np.arange(30) % 2).recipe_.net.state_dict() for c in (clf, first)]
    moved = [float((nets[0][name] - nets[1][name]).abs().max()) for name in nets[0] if name.endswith("layers.0.weight")]
    assert moved[0] < 1e-6 < 1e-3 < moved[1]


def test_fusion_is_checked():
    with pytest.raises(ValueError, match="fusion"):
        build("unimodal", {"fusion": "x"})
