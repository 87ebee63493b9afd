"""The options of mla beyond its three switches: means, momentum, the released code, the notes on a freezing head."""

import warnings

import numpy as np
import pytest
import torch

from modest import MultimodalClassifier
from modest.learning import METHODS, Towers
from modest.learning.late import Options as LateOptions
from modest.learning.means import MeanFeature
from modest.learning.mla import FROZEN
from modest.learning.released import ReleasedProjector, released_fusion
from modest.training import Batches, Plan, ready
from modest.training.fit import fit
from modest.types import Views
from tests.learning.test_mla_training import train

N, D, S, C = 21, 4, 5, 3


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/learning/mla_training.npz", allow_pickle=False)


def recipe(**options):
    generator = torch.Generator().manual_seed(1)
    towers = Towers.over([D, D], S, generator, dtype=torch.float64)
    return METHODS["mla"].build(towers, ["a", "b"], C, generator, options)


def batches(seed=0, shuffle=True, lacking=False):
    rng = np.random.default_rng(seed)
    x = {name: rng.normal(size=(N, D)) for name in "ab"}
    present = np.ones((N, 2), dtype=bool)
    if lacking:
        present[::3, 1] = False
    y = rng.integers(C, size=N)
    return Batches(ready(Views(x), torch.float64), present, np.arange(N), y, 6, shuffle=shuffle)


# the mean feature


def test_ema_and_dataset_means_equal_slow_loops():
    rng = np.random.default_rng(0)
    ema, data = MeanFeature("ema", 2, 3, beta=0.8), MeanFeature("dataset", 2, 3)
    smooth, before, now = {}, {}, {}
    for _ in range(3):
        ema.start_epoch()
        data.start_epoch()
        before, now = {m: np.concatenate(rows) for m, rows in now.items()}, {0: [], 1: []}
        for _ in range(4):
            for m in range(2):
                f = rng.normal(size=(rng.integers(1, 6), 3)) + m
                now[m].append(f)
                smooth[m] = 0.8 * smooth[m] + 0.2 * f.mean(axis=0) if m in smooth else f.mean(axis=0)
                np.testing.assert_allclose(ema(m, torch.from_numpy(f)), smooth[m])
                seen = np.concatenate(now[m])
                count, rest = len(seen), 0
                if m in before:
                    rest = max(len(before[m]) - count, 0)
                mean = seen.sum(axis=0) + (rest * before[m].mean(axis=0) if rest else 0)
                np.testing.assert_allclose(data(m, torch.from_numpy(f)), mean / (count + rest))


def test_dataset_mean_is_that_of_all_rows_at_the_end_of_an_epoch():
    rng = np.random.default_rng(1)
    f, mean = rng.normal(size=(12, 3)), MeanFeature("dataset", 1, 3)
    for _ in range(2):
        mean.start_epoch()
        for part in np.split(f, 4):
            last = mean(0, torch.from_numpy(part))
        np.testing.assert_allclose(last, f.mean(axis=0))
    mean.start_epoch()
    rest = 9 * f.mean(axis=0)  # nine rows to come, taken to be as all were before
    np.testing.assert_allclose(mean(0, torch.from_numpy(f[:3])), (f[:3].sum(axis=0) + rest) / 12)


@pytest.mark.parametrize("kind", ["ema", "dataset"])
def test_the_chosen_mean_reaches_the_projector(kind):
    """P is the closed form over the means that were handed to it, which are not the batches' own."""
    told, taken = recipe(mean=kind, alpha=0.3, reset="never"), []
    update = told.projector.update
    told.projector.update = lambda mean: (taken.append(mean.double().numpy().copy()), update(mean))
    plain = recipe(alpha=0.3, reset="never")
    for one in (told, plain):
        for _ in fit(one.stages(), batches(), Plan(epochs=2, lr=0.1, optimizer="sgd")):
            pass
    P = np.linalg.inv(np.eye(S) + sum(np.outer(h, h) for h in taken) / 0.3)
    np.testing.assert_allclose(told.projector.matrix.numpy(), P, atol=1e-10)
    assert (told.projector.matrix - plain.projector.matrix).abs().max() > 1e-3


# momentum


def test_momentum_of_its_own_equals_a_slow_loop():
    """SGD with one velocity of the head per modality, by hand in numpy."""
    told = recipe(momentum="modality", project=False)
    W, b = told.head.weight.detach().numpy().copy(), told.head.bias.detach().numpy().copy()
    E = [t.layers[0].weight.detach().numpy().copy() for t in told.towers.encoders]
    e = [t.layers[0].bias.detach().numpy().copy() for t in told.towers.encoders]
    velocity = [dict.fromkeys("WbEe", 0.0) for _ in range(2)]
    data, lr = batches(shuffle=False, lacking=True), 0.2
    for _ in range(3):
        for rows in np.split(np.arange(N), [6, 12, 18]):
            for m in range(2):
                mine = rows[data.present[rows, m]]
                x, y = data.columns[m].array[mine], data.y[mine]
                f = x @ E[m].T + e[m]
                z = f @ W.T + b
                p = np.exp(z - z.max(axis=1, keepdims=True))
                p /= p.sum(axis=1, keepdims=True)
                g = (p - np.eye(C)[y]) / len(mine)
                gradient = {"W": g.T @ f, "b": g.sum(axis=0), "E": (g @ W).T @ x, "e": (g @ W).sum(axis=0)}
                for key in gradient:
                    velocity[m][key] = 0.9 * velocity[m][key] + gradient[key]
                W, b = W - lr * velocity[m]["W"], b - lr * velocity[m]["b"]
                E[m], e[m] = E[m] - lr * velocity[m]["E"], e[m] - lr * velocity[m]["e"]
    for _ in fit(told.stages(), data, Plan(epochs=3, lr=lr, optimizer="sgd")):
        pass
    np.testing.assert_allclose(told.head.weight.detach().numpy(), W, atol=1e-10)
    np.testing.assert_allclose(told.head.bias.detach().numpy(), b, atol=1e-10)
    np.testing.assert_allclose(told.towers.encoders[1].layers[0].weight.detach().numpy(), E[1], atol=1e-10)
    assert torch.equal(told.heads[0].weight, told.heads[1].weight)


def test_without_momentum_it_makes_no_difference_whose_it_is():
    outcomes = []
    for momentum in ("shared", "modality"):
        told = recipe(momentum=momentum)
        for _ in fit(told.stages(), batches(), Plan(epochs=2, lr=0.1, optimizer="sgd", momentum=0.0)):
            pass
        outcomes.append(told.head.weight)
    assert torch.equal(*outcomes)


def test_momentum_needs_turns():
    with pytest.raises(ValueError, match="needs turns"):
        recipe(momentum="modality", alternate=False)


# the released code


def test_released_projector_and_fusion_match_what_the_release_gives(shared):
    z = np.load(shared / "reference/learning/mla_projection.npz")
    projector = ReleasedProjector(12, 0.1)
    for t in range(len(z["decay_alpha"])):
        projector.alpha = float(z["decay_alpha"][t])
        projector.update(torch.from_numpy(z["decay_mean_feature"][t]))
        P, grad = z["decay_P_wrong_elementwise"][t], z["decay_projected_grad_wrong_elementwise"][t]
        np.testing.assert_allclose(projector.matrix, P, rtol=1e-4, atol=1e-4)
        found = projector.project(torch.from_numpy(z["decay_head_grad"][t]))
        np.testing.assert_allclose(found, grad, rtol=1e-4, atol=1e-4)
    assert (projector.matrix - projector.matrix.T).abs().max() > 0.01
    z = np.load(shared / "reference/learning/mla_fusion.npz")
    for prefix in ("m2", "m3"):
        fused, weights = released_fusion(torch.from_numpy(z[f"{prefix}_logits"]))
        np.testing.assert_allclose(weights[0], z[f"{prefix}_weights_wrong_official"], atol=1e-10)
        assert torch.equal(weights, weights[:1].expand_as(weights))
        np.testing.assert_allclose(fused, z[f"{prefix}_fused_wrong_official"], atol=1e-10)


def test_released_fusion_masks_absence_and_depends_on_the_batch():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(2, 5, 3)))
    present = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1], [0, 0]], dtype=torch.bool)
    fused, weights = released_fusion(logits, present)
    assert weights[1].tolist() == [1, 0]
    assert weights[2].tolist() == [0, 1]
    assert not fused[4].any()
    assert (released_fusion(logits[:, :3], present[:3])[1][0] - weights[0]).abs().max() > 1e-3


def test_literal_preset_is_the_release_with_its_parameter_name_repaired(vectors):
    _, found = train(vectors, alpha=0.1, published="literal")
    for key in ("head_w", "enc_w"):
        error = np.abs(found[key] - vectors[f"wrong_official_repaired_name_{key}"])
        assert error[:16].max() <= 1e-8
        assert error.max() <= 1e-4  # rounding grows tenfold every two steps


def test_head_preset_is_plain_alternation(vectors):
    _, found = train(vectors, alpha=0.1, published="head")
    for key in ("head_w", "enc_w", "loss"):
        np.testing.assert_allclose(found[key], vectors[f"plain_{key}"], atol=1e-10)
    assert recipe(published="head").fuse is released_fusion


def test_a_preset_stands_alone():
    with pytest.raises(ValueError, match="leave out 'normalize'"):
        recipe(published="literal", normalize="fro")
    with pytest.raises(ValueError, match="nonsense"):
        recipe(published="nonsense")


# notes


@pytest.mark.parametrize("project_step", ["gradient", "step"])
def test_gain_is_the_share_of_the_heads_step_that_is_left(project_step):
    told, shares = recipe(project_step=project_step), []
    project = told.projector.project

    def watched(change):
        answer = project(change)
        shares.append(float(answer.norm() / change.norm()))
        return answer

    told.projector.project = watched
    notes = []
    for record in fit(told.stages(), batches(), Plan(epochs=2, lr=0.05, optimizer="sgd")):
        if "notes" in record.values:
            notes.append((record.values["notes"], np.mean(shares)))
            shares.clear()
    assert len(notes) == 2
    for told_, expected in notes:
        assert told_["gain"] == pytest.approx(expected)
    assert notes[-1][0]["trace"] == pytest.approx(float(torch.trace(told.projector.matrix)) / S)


def test_a_frozen_head_is_told_of_once():
    rng = np.random.default_rng(0)
    X, y = {"a": rng.normal(size=(60, 3)), "b": rng.normal(size=(60, 3))}, rng.integers(2, size=60)
    settings = {"method": "mla", "epochs": 40, "width": 4, "hidden": ()}
    clf = MultimodalClassifier(**settings, options={"alpha": 1e-4, "reset": "never", "normalize": "none"})
    with pytest.warns(UserWarning, match="all but stopped") as told:
        clf.fit(X, y)
    assert len(told) == 1
    assert clf.history_[-1].values["notes"]["gain"] < FROZEN
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = MultimodalClassifier(**settings, options={"project": False}).fit(X, y)
    assert "gain" not in clf.history_[-1].values.get("notes", {})


def test_one_modality_without_projection_is_plain_training():
    """mla and late with one modality are one encoder, one head, one loss: the same to the bit."""
    x, y = np.random.default_rng(2).normal(size=(N, D)), np.arange(N) % C
    outcomes = []
    for method, options in (("mla", {"project": False}), ("late", {})):
        generator = torch.Generator().manual_seed(5)
        towers = Towers.over([D], S, generator, (7,))
        told = METHODS[method].build(towers, ["a"], C, generator, options)
        one = Batches(ready(Views({"a": x})), np.ones((N, 1), dtype=bool), np.arange(N), y, 6)
        for _ in fit(told.stages(), one, Plan(epochs=3, lr=0.05)):
            pass
        outcomes.append([p.detach() for p in told.net.parameters()])
    assert LateOptions().head == "separate"
    assert all(torch.equal(a, b) for a, b in zip(*outcomes))
