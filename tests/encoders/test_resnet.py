"""ResNet: names of two publishers, one channel, sizes, refusals, and first weights from one generator."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import ResNetConfig, ResNetForImageClassification

from modest.encoders.initialise import initialise
from modest.encoders.resnet import FIRST, FrameResNet, resnet


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Basic(nn.Module):
    """A basic block with torchvision's names, written from He et al. 2016."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class Bottleneck(nn.Module):
    """A bottleneck block with torchvision's names; the stride is in the 3x3 convolution."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return (self.bn3(self.conv3(y)) + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class Published(nn.Module):
    """torchvision's layout of names and its forward pass."""

    def __init__(self, block, depth, first, sizes, channels=3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        inputs = first
        for stage, (count, outputs) in enumerate(zip(depth, sizes)):
            parts = [block(outputs if i else inputs, outputs, 2 if stage and not i else 1) for i in range(count)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*parts))
            inputs = outputs
        self.fc = nn.Linear(inputs, 10)
        self.count = len(depth)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for stage in range(self.count):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x.mean(dim=(2, 3))


def lively(net, seed):
    """Random weights, and norms whose stored statistics matter."""
    g = generator(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=g) * 0.2 + (0.5 if "var" in name else -0.1))
    return net.eval()


SHAPES = [
    (Basic, "basic", (1, 2), 16, (16, 32), 0.25),
    (Bottleneck, "bottleneck", (2, 1, 1), 8, (32, 64, 128), 0.125),
]


@pytest.mark.parametrize(("block", "kind", "depth", "first", "sizes", "width"), SHAPES)
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_torchvision_names_give_the_features_of_the_published_network(
    tmp_path, block, kind, depth, first, sizes, width, ending
):
    source = lively(Published(block, depth, first, sizes), 1)
    path = tmp_path / f"weights{ending}"
    (save_file if ending == ".safetensors" else torch.save)(source.state_dict(), path)
    net = resnet(depth, block=kind, width=width, generator=generator(), weights=path).eval()
    x = torch.rand(2, 3, 40, 48, generator=generator(2))
    assert torch.allclose(net(x), source(x), atol=1e-5)
    assert net.width == sizes[-1]


def test_old_files_without_counters_of_batches_load(tmp_path):
    source = lively(Published(Basic, (1,), 16, (16,)), 1)
    state = {name: t for name, t in source.state_dict().items() if "num_batches" not in name}
    save_file(state, tmp_path / "w.safetensors")
    x = torch.rand(1, 3, 32, 32, generator=generator(3))
    net = resnet((1,), width=0.25, generator=generator(), weights=tmp_path / "w.safetensors").eval()
    assert torch.allclose(net(x), source(x), atol=1e-6)


@pytest.fixture
def folder(tmp_path):
    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=3)
    model = lively(ResNetForImageClassification(config), 4)
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model", model


def test_a_transformers_folder_loads_without_its_classifier(folder):
    place, model = folder
    net = resnet((1, 1), width=0.25, generator=generator(), weights=place).eval()
    x = torch.rand(2, 3, 32, 32, generator=generator(5))
    assert torch.equal(net(x), model.resnet(x).pooler_output.flatten(1))


def test_one_channel_sums_the_first_convolution(folder):
    place, model = folder
    net = resnet((1, 1), width=0.25, channels=1, generator=generator(), weights=place).eval()
    grey = torch.rand(2, 1, 32, 32, generator=generator(6))
    assert torch.allclose(net(grey), model.resnet(grey.expand(-1, 3, -1, -1)).pooler_output.flatten(1), atol=1e-5)
    assert net.state_dict()[f"body.{FIRST}"].shape == (16, 1, 7, 7)


def test_a_folder_with_another_stride_is_refused(folder):
    place, _ = folder
    config = place / "config.json"
    config.write_text(
        config.read_text().replace('"downsample_in_first_stage": false', '"downsample_in_first_stage": true')
    )
    with pytest.raises(ValueError, match="its downsample_in_first_stage is True"):
        resnet((1, 1), width=0.25, generator=generator(), weights=place)


def refused(weights, told, depth=(1, 1), width=0.25, **more):
    with pytest.raises((ValueError, FileNotFoundError), match=told) as error:
        resnet(depth, width=width, generator=generator(), weights=weights, **more)
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_named(folder, tmp_path):
    place, _ = folder
    refused(place, r"lacks encoder\.stages\.2\.layers\.0", depth=(1, 1, 1))
    refused(place, r"has encoder\.stages\.1\.layers\.0.*, which the encoder has not", depth=(1,))
    refused(place, r"convolution\.weight has shape \(16, 3, 7, 7\), the encoder's has \(32, 3, 7, 7\)", width=0.5)
    refused(place, "lacks", block="bottleneck", width=0.0625)
    save_file({"bert.embeddings.word_embeddings.weight": torch.zeros(4, 4)}, tmp_path / "text.safetensors")
    refused(tmp_path / "text.safetensors", r"does not fit a basic ResNet.*lacks embedder")


def test_files_that_are_no_weights_are_named(tmp_path):
    (tmp_path / "zero.safetensors").write_bytes(b"")
    (tmp_path / "zero.pth").write_bytes(b"")
    (tmp_path / "notes.md").write_text("words")
    torch.save({"a": print}, tmp_path / "code.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "zero.safetensors", "zero.safetensors' is damaged")
    refused(tmp_path / "zero.pth", "damaged or holds more than tensors")
    refused(tmp_path / "code.pth", "damaged or holds more than tensors")
    refused(tmp_path / "list.pth", "holds no tensors by name")
    refused(tmp_path / "notes.md", "no weights file")
    refused(tmp_path / "empty", "holds none of model.safetensors")
    refused(tmp_path / "gone.safetensors", "no file or folder here")


@pytest.mark.parametrize(
    ("name", "width", "features", "parameters"),
    [("resnet18", 1.0, 512, 11_176_512), ("resnet101", 1.0, 2048, 42_500_160), ("resnet18", 0.25, 128, 702_096)],
)
def test_sizes(name, width, features, parameters):
    net = resnet(name, width=width, generator=generator())
    assert net.width == features
    # torchvision's resnet18 has 11,689,512 and resnet101 44,549,160 with a classifier of 1000 classes
    assert sum(p.numel() for p in net.parameters()) == parameters
    if width == 1.0:
        assert parameters + 1000 * features + 1000 == {"resnet18": 11_689_512, "resnet101": 44_549_160}[name]


def test_equal_generators_give_equal_weights_and_the_global_state_is_untouched():
    before = torch.get_rng_state()
    nets = [resnet((1, 1), width=0.25, generator=generator(seed)) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0][f"body.{FIRST}"], states[2][f"body.{FIRST}"])


def test_first_weights_have_the_spread_they_should():
    net = nn.ModuleList([nn.Conv2d(3, 64, 7, bias=True), nn.Linear(300, 200), nn.Embedding(400, 50, padding_idx=0)])
    net.append(nn.BatchNorm2d(3))
    for parameter in net.parameters():
        nn.init.constant_(parameter, 9.0)
    net[3].running_mean.fill_(5.0)
    initialise(net, generator())
    conv, linear, embedding, norm = net
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
    # a normal of deviation 0.02 cut at two deviations has a deviation of 0.88 of it
    assert linear.weight.std().item() == pytest.approx(0.02 * 0.8796, rel=0.02)
    assert linear.weight.abs().max() <= 0.04
    assert embedding.weight[1:].std().item() == pytest.approx(0.02 * 0.8796, rel=0.03)
    assert not embedding.weight[0].any()
    assert not conv.bias.any()
    assert not linear.bias.any()
    assert (norm.weight == 1).all()
    assert not norm.running_mean.any()


def test_a_module_it_cannot_draw_is_refused():
    with pytest.raises(TypeError, match="GRU at 0"):
        initialise(nn.Sequential(nn.GRU(2, 2)), generator())


def test_weights_do_not_leak_into_the_file_they_came_from(folder):
    place, model = folder
    before = copy.deepcopy(model.state_dict())
    net = resnet((1, 1), width=0.25, generator=generator(), weights=place)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    again = resnet((1, 1), width=0.25, generator=generator(), weights=place)
    assert torch.equal(again.state_dict()[f"body.{FIRST}"], before[f"resnet.{FIRST}"])


def test_frames_go_through_one_network_and_their_features_are_averaged():
    net = FrameResNet(resnet([1, 1], generator=generator(), width=0.125)).eval()
    clip = torch.randn(2, 3, 4, 16, 16, generator=generator(1))
    by_hand = torch.stack([torch.stack([net.frame(clip[k, :, t][None])[0] for t in range(4)]).mean(0) for k in (0, 1)])
    assert torch.allclose(net(clip), by_hand, atol=1e-6)
    assert torch.allclose(net(clip[:, :, [2, 0, 3, 1]]), by_hand, atol=1e-6)  # no order
    assert torch.allclose(net(clip.repeat_interleave(2, dim=2)), by_hand, atol=1e-6)  # no number
    assert net.width == by_hand.shape[1]


def test_the_frames_of_one_clip_alone_are_no_batch():
    """They are too much alike for a mean and a variance of their own; two clips are a batch."""
    net = FrameResNet(resnet([1, 1], generator=generator(), width=0.125)).train()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    one = torch.randn(1, 3, 4, 16, 16, generator=generator(1))
    assert torch.equal(net(one), copy.deepcopy(net).eval()(one))
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert not torch.allclose(net(one.repeat(2, 1, 1, 1, 1)), copy.deepcopy(net).eval()(one), atol=1e-4)
