"""R(2+1)D: published parameter count and names, strict loading, the separated convolution by a loop."""

import pytest
import torch
from safetensors.torch import save_file

from modest.encoders.r2plus1d import middle, r2plus1d


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def published_names():
    """Names of torchvision's r2plus1d_18, typed from its layout."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["stem.0.weight", "stem.3.weight", "fc.weight", "fc.bias"]
    names += [f"stem.{place}.{part}" for place in (1, 4) for part in norm]
    for layer in range(1, 5):
        for block in range(2):
            for conv in (1, 2):
                start = f"layer{layer}.{block}.conv{conv}"
                names += [f"{start}.0.0.weight", f"{start}.0.3.weight"]
                names += [f"{start}.{place}.{part}" for place in ("0.1", "1") for part in norm]
            if block == 0 and layer > 1:
                names.append(f"layer{layer}.0.downsample.0.weight")
                names += [f"layer{layer}.0.downsample.1.{part}" for part in norm]
    return set(names)


def test_published_parameter_count_and_names():
    net = r2plus1d(generator=generator())
    assert sum(p.numel() for p in net.parameters()) + 400 * 512 + 400 == 31_505_325
    assert set(net.state_dict()) == published_names() - {"fc.weight", "fc.bias"}
    assert net.width == 512


def test_middle_by_the_formula_of_the_paper():
    for inputs, outputs, told in ((64, 64, 144), (64, 128, 230), (128, 256, 460), (256, 512, 921)):
        assert middle(inputs, outputs) == told
        assert middle(inputs, outputs) == int(3 * 3**2 * inputs * outputs / (3**2 * inputs + 3 * outputs))


def test_width_and_depth():
    small = r2plus1d(depth=(1, 1), width=0.125, generator=generator())
    assert small.width == 16
    assert small.stages == ["layer1", "layer2"]
    assert small(torch.zeros(2, 3, 3, 16, 16)).shape == (2, 16)
    assert sum(p.numel() for p in r2plus1d(width=0.25, generator=generator()).parameters()) < 2_000_000


def test_a_checkpoint_in_the_published_names_is_loaded_and_fc_dropped(tmp_path):
    knobs = {"depth": (1, 1), "width": 0.125}
    source = r2plus1d(generator=generator(1), **knobs)
    state = {**source.state_dict(), "fc.weight": torch.zeros(400, 16), "fc.bias": torch.zeros(400)}
    save_file(state, tmp_path / "video.safetensors")
    torch.save(state, tmp_path / "video.pth")
    clip = torch.rand(2, 3, 3, 16, 16, generator=generator(2))
    for name in ("video.safetensors", "video.pth"):
        net = r2plus1d(generator=generator(5), weights=tmp_path / name, **knobs)
        assert torch.equal(net.eval()(clip), source.eval()(clip))


def test_the_first_block_by_hand():
    """Stem and block from their parts: spatial, norm, ReLU, temporal; both norms; the shortcut before the last ReLU."""
    net = r2plus1d(depth=(1,), width=0.125, generator=generator(3)).eval()
    x = torch.rand(1, 3, 4, 12, 12, generator=generator(4))
    f = torch.nn.functional

    def norm(module, value):
        keep = (1, -1, 1, 1, 1)
        scaled = (value - module.running_mean.reshape(keep)) / (module.running_var.reshape(keep) + module.eps).sqrt()
        return scaled * module.weight.reshape(keep) + module.bias.reshape(keep)

    y = f.conv3d(x, net.stem[0].weight, stride=(1, 2, 2), padding=(0, 3, 3))
    y = f.conv3d(norm(net.stem[1], y).relu(), net.stem[3].weight, padding=(1, 0, 0))
    stem = norm(net.stem[4], y).relu()
    block = net.layer1[0]
    z = stem
    for conv in (block.conv1, block.conv2):
        z = f.conv3d(z, conv[0][0].weight, padding=(0, 1, 1))
        z = norm(conv[1], f.conv3d(norm(conv[0][1], z).relu(), conv[0][3].weight, padding=(1, 0, 0)))
        z = z.relu() if conv is block.conv1 else z
    expected = (z + stem).relu().mean(dim=(2, 3, 4))
    assert torch.allclose(net(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("knobs", "told"), [({"depth": ()}, "depth"), ({"width": 0.0}, "width"), ({"depth": (0,)}, "depth")]
)
def test_impossible_sizes(knobs, told):
    with pytest.raises(ValueError, match=told):
        r2plus1d(generator=generator(), **knobs)


def test_another_architecture_is_one_sentence_naming_what_does_not_fit(tmp_path):
    save_file(r2plus1d(depth=(1, 1), width=0.125, generator=generator()).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"lacks layer3\.0\.conv1\.0\.0\.weight") as error:
        r2plus1d(depth=(1, 1, 1), width=0.125, generator=generator(), weights=tmp_path / "w.safetensors")
    assert str(error.value).count(". ") == 0
    with pytest.raises(ValueError, match=r"has layer2\.0\.conv1\.0\.0\.weight, which"):
        r2plus1d(depth=(1,), width=0.125, generator=generator(), weights=tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"stem\.0\.weight has shape \(6, 3, 1, 7, 7\), the encoder's has \(11"):
        r2plus1d(depth=(1, 1), width=0.25, generator=generator(), weights=tmp_path / "w.safetensors")
