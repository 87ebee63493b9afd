"""Batch norms and a row that comes alone."""

import pytest
import torch
from torch import nn

from modest.encoders.norms import alone
from modest.encoders.trainable import build


@pytest.mark.parametrize("name", ["resnet18", "r2plus1d18", "audio_resnet18"])
def test_a_lone_row_is_trained_on_by_running_statistics(name):
    knobs = {"size": 16} if name != "audio_resnet18" else {"seconds": 0.2, "n_fft": 32, "window": 32}
    knobs |= {"frames": 1} if name == "r2plus1d18" else {}
    made = build(name, generator=torch.Generator().manual_seed(0), width=0.1, **knobs)
    x = torch.randn(3, *made.reading.shape, generator=torch.Generator().manual_seed(1))
    made.net.train()
    made.net(x)  # running statistics move
    before = {key: tensor.clone() for key, tensor in made.net.state_dict().items()}
    lone = made.net(x[:1])
    assert all(torch.equal(before[key], tensor) for key, tensor in made.net.state_dict().items())
    lone.sum().backward()
    assert all(p.grad is not None for p in made.net.parameters())
    assert all(module.training for module in made.net.modules())
    made.net.eval()
    torch.testing.assert_close(lone, made.net(x[:1]))


def test_with_more_rows_nothing_is_changed_and_an_error_leaves_no_trace():
    norm = nn.BatchNorm1d(2).train()
    x = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    with alone(norm, x):
        assert norm.training
        torch.testing.assert_close(norm(x).mean(dim=0), torch.zeros(2), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        norm(x[:1])
    with alone(norm, x[:1]):
        assert not norm.training
    assert norm.training
    with pytest.raises(ValueError, match="expected 2D or 3D"), alone(norm, x[:1]):
        norm(x[:1, :, None, None])
    assert norm.training
    norm.eval()
    with alone(norm, x[:1]):
        pass
    assert not norm.training  # an evaluation stays one
