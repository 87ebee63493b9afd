"""Fusion by entropy and by the mean, against the reference vectors and a slow loop."""

import numpy as np
import pytest
import torch

from modest.learning import entropy_fusion, mean_fusion
from modest.learning.fusion import entropy


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/learning/mla_fusion.npz", allow_pickle=False)


def near(found, expected):
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("prefix", ["m2", "m3", "extreme"])
def test_matches_reference(vectors, prefix):
    logits = torch.from_numpy(vectors[f"{prefix}_logits"])
    fused, weights = entropy_fusion(logits)
    near(entropy(logits).T, vectors[f"{prefix}_entropy"])
    near(weights, vectors[f"{prefix}_weights"])
    near(fused, vectors[f"{prefix}_fused"])


@pytest.mark.parametrize("prefix", ["m2", "m3"])
@pytest.mark.parametrize("rubbish", ["reference", "nan", "inf"])
def test_absent_content_does_not_matter(vectors, prefix, rubbish):
    present = torch.from_numpy(vectors[f"{prefix}_present"].astype(bool))
    logits = torch.from_numpy(vectors[f"{prefix}_logits_absent_rubbish"].copy())
    if rubbish != "reference":
        logits[~present.T] = float(rubbish)
    fused, weights = entropy_fusion(logits, present)
    near(weights, vectors[f"{prefix}_weights_masked"])
    near(fused, vectors[f"{prefix}_fused_masked"])
    assert (weights[~present] == 0).all()


@pytest.mark.parametrize("prefix", ["m2", "m3"])
def test_differs_from_the_released_batch_softmax(vectors, prefix):
    fused, weights = entropy_fusion(torch.from_numpy(vectors[f"{prefix}_logits"]))
    assert np.abs(weights.numpy() - vectors[f"{prefix}_weights_wrong_official"]).max() > 0.1
    assert np.abs(fused.numpy() - vectors[f"{prefix}_fused_wrong_official"]).max() > 0.1


def test_slow_loop_and_mean():
    rng = np.random.default_rng(0)
    logits, present = rng.normal(size=(3, 20, 4)) * 3, rng.random((20, 3)) < 0.6
    fused, weights = (t.numpy() for t in entropy_fusion(torch.from_numpy(logits), torch.from_numpy(present)))
    averaged, even = (t.numpy() for t in mean_fusion(torch.from_numpy(logits), torch.from_numpy(present)))
    for i in range(20):
        confidence = np.zeros(3)
        for m in range(3):
            p = np.exp(logits[m, i]) / np.exp(logits[m, i]).sum()
            confidence[m] = np.exp((p * np.log(p)).sum()) if present[i, m] else 0.0
        expected = confidence / confidence.sum() if present[i].any() else confidence
        np.testing.assert_allclose(weights[i], expected, atol=1e-12)
        np.testing.assert_allclose(fused[i], sum(expected[m] * logits[m, i] for m in range(3)), atol=1e-12)
        own = [logits[m, i] for m in range(3) if present[i, m]]
        np.testing.assert_allclose(averaged[i], np.mean(own, axis=0) if own else 0.0, atol=1e-12)
        np.testing.assert_allclose(even[i].sum(), 1.0 if own else 0.0, atol=1e-12)


def test_gradient_of_absent_rows_is_zero_and_finite():
    logits = torch.full((2, 3, 4), torch.nan, dtype=torch.float64)
    logits[0] = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits.requires_grad_()
    present = torch.tensor([[True, False]] * 3)
    entropy_fusion(logits, present)[0].square().sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0] != 0).any()


def test_weights_are_bounded_and_no_row_depends_on_another():
    logits = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 50
    weights = entropy_fusion(logits)[1]
    assert weights.min() >= 1 / 6 - 1e-12
    assert weights.max() <= 5 / 6 + 1e-12
    torch.testing.assert_close(entropy_fusion(logits[:, 3:4])[1], weights[3:4])


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match="logits has shape"):
        entropy_fusion(torch.ones(2, 3))
    with pytest.raises(ValueError, match="present has shape"):
        mean_fusion(torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
