"""GradientProjector against the reference vectors and the Sherman-Morrison closed form."""

import numpy as np
import pytest
import torch

from modest.learning import GradientProjector


def closed_form(means, alphas):
    outer = sum(np.outer(h, h) / a for h, a in zip(means, alphas))
    return np.linalg.inv(np.eye(means.shape[1]) + outer)


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/learning/mla_projection.npz", allow_pickle=False)


def replay(vectors, case, **options):
    """Drive the projector over one case; P and the projected gradient after each update."""
    projector = GradientProjector(12, alpha=0.1, **options)
    P, projected, gains = [], [], []
    for features, alpha, grad in zip(*(vectors[f"{case}_{key}"] for key in ("features", "alpha", "head_grad"))):
        projector.alpha = float(alpha)
        h = torch.from_numpy(features).mean(dim=0)
        before = projector.matrix
        projector.update(h)
        gains.append((before @ h / (projector.alpha + h @ before @ h)).numpy())
        P.append(projector.matrix.numpy())
        projected.append(projector.project(torch.from_numpy(grad)).numpy())
    return np.stack(P), np.stack(projected), np.stack(gains)


def near(found, expected, tolerance=1e-10):
    assert np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected))) <= tolerance


@pytest.mark.parametrize("case", ["const", "decay"])
def test_matches_reference(vectors, case):
    P, projected, gains = replay(vectors, case)
    near(vectors[f"{case}_features"].mean(axis=1), vectors[f"{case}_mean_feature"])
    near(P, vectors[f"{case}_P"])
    near(P, vectors[f"{case}_P_closed_form"])
    near(projected, vectors[f"{case}_projected_grad"])
    near(gains, vectors[f"{case}_gain"])
    near(replay(vectors, case, project_with="previous")[1], vectors[f"{case}_projected_grad_previous"])
    near(replay(vectors, case, normalize="fro")[0], vectors[f"{case}_P_fro"])


def test_decay_schedule_of_the_reference_is_ours(vectors):
    from modest.learning.mla import decay

    share = vectors["decay_batch_index"] / vectors["decay_batches_per_epoch"]
    near(np.array([decay(s) for s in share]), vectors["decay_alpha"])


def test_differs_from_the_elementwise_division(vectors):
    P, projected, _ = replay(vectors, "decay", normalize="fro")
    assert np.abs(P - vectors["decay_P_wrong_elementwise"]).max() > 0.01
    assert np.abs(projected - vectors["decay_projected_grad_wrong_elementwise"]).max() > 0.01


def test_six_hundred_updates_stay_positive_definite(vectors):
    projector = GradientProjector(8, alpha=0.01)
    traces = []
    for t, (h, alpha) in enumerate(zip(vectors["long_mean_feature"], vectors["long_alpha"]), start=1):
        projector.alpha = float(alpha)
        projector.update(torch.from_numpy(h))
        traces.append(float(projector.matrix.trace()))
        if t == 100:
            near(projector.matrix.numpy(), vectors["long_P_at_100"], 1e-9)
    near(np.array(traces), vectors["long_trace_P"], 1e-9)
    near(projector.matrix.numpy(), vectors["long_P_final_closed_form"], 1e-9)
    assert np.linalg.eigvalsh(projector.matrix.numpy()).min() > 0


@pytest.mark.parametrize("seed", range(3))
def test_equals_sherman_morrison(seed):
    rng = np.random.default_rng(seed)
    means, alphas = rng.normal(size=(40, 16)), rng.uniform(0.01, 1.0, size=40)
    projector = GradientProjector(16, alpha=1.0)
    for h, alpha in zip(means, alphas):
        before = projector.matrix.numpy()
        projector.alpha = alpha
        projector.update(torch.from_numpy(h))
        P = projector.matrix.numpy()
        np.testing.assert_allclose(P @ h, before @ h * alpha / (alpha + h @ before @ h), atol=1e-12)
    np.testing.assert_allclose(P, closed_form(means, alphas), atol=1e-10)
    assert np.array_equal(P, P.T)
    eigenvalues = np.linalg.eigvalsh(P)
    assert 0 < eigenvalues.min() <= eigenvalues.max() <= 1 + 1e-12
    assert projector.updates == 40


def test_seen_directions_close_as_alpha_shrinks():
    h, grad = torch.randn(6, generator=torch.Generator().manual_seed(0)), torch.ones(3, 6)
    projector = GradientProjector(6, alpha=1e-10)
    projector.update(h)
    projected = projector.project(grad)
    assert torch.abs(projected @ h).max() < 1e-6
    assert projected.dtype == torch.float32
    assert torch.equal(grad, torch.ones(3, 6))


def test_trace_normalisation_keeps_mean_gain_one():
    projector = GradientProjector(5, alpha=0.1, normalize="trace")
    for h in torch.eye(5, dtype=torch.float64)[:3]:
        projector.update(h)
        assert float(projector.matrix.trace()) == pytest.approx(5.0)


def test_reset_and_detach():
    h = torch.ones(4, requires_grad=True)
    for reset, expected in (("never", 1), ("epoch", 0)):
        projector = GradientProjector(4, alpha=0.1, reset=reset)
        projector.update(h * 2)
        assert not projector.matrix.requires_grad
        projector.start_epoch()
        assert bool((projector.matrix != torch.eye(4, dtype=torch.float64)).any()) == bool(expected)


def test_bad_input_is_named():
    projector = GradientProjector(4, alpha=0.1)
    with pytest.raises(ValueError, match="mean has shape"):
        projector.update(torch.ones(5))
    with pytest.raises(ValueError, match="grad has shape"):
        projector.project(torch.ones(2, 5))
    with pytest.raises(ValueError, match="grad has shape"):
        projector.project(torch.ones(4))
    with pytest.raises(ValueError, match="alpha=0"):
        projector.alpha = 0
    with pytest.raises(ValueError, match="dim=0"):
        GradientProjector(0, alpha=0.1)
    for name in ("normalize", "reset", "project_with"):
        with pytest.raises(ValueError, match=f"{name}='nonsense' is unknown; known"):
            GradientProjector(4, alpha=0.1, **{name: "nonsense"})
