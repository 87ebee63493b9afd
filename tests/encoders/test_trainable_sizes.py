"""The paper's encoders at full size, with the presets' knobs: built, loaded from published names, trained two steps.

Inputs are small in space and time so that a CPU does it in seconds; the networks are not.
"""

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from modest.encoders.presets import preset
from modest.encoders.r2plus1d import r2plus1d
from modest.encoders.trainable import build
from tests.encoders.test_resnet import Basic, Bottleneck, Published


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def quietly(make):
    with torch.random.fork_rng(devices=[]):
        return make().eval()


def resnet101(place):
    """torchvision's names in a .pth file."""
    source = quietly(lambda: Published(Bottleneck, (3, 4, 23, 3), 64, (256, 512, 1024, 2048)))
    torch.save(source.state_dict(), place / "resnet101.pth")
    return place / "resnet101.pth", source


def audio(place):
    """torchvision's names in a safetensors file, with three input channels."""
    source = quietly(lambda: Published(Basic, (2, 2, 2, 2), 64, (64, 128, 256, 512)))
    save_file(source.state_dict(), place / "resnet18.safetensors")
    return place / "resnet18.safetensors", lambda x: source(x.expand(-1, 3, -1, -1))


def video(place):
    """torchvision's names with the classifier, in a .pth file."""
    source = r2plus1d(generator=generator(5)).eval()
    state = {**source.state_dict(), "fc.weight": torch.zeros(400, 512), "fc.bias": torch.zeros(400)}
    torch.save(state, place / "r2plus1d_18.pth")
    return place / "r2plus1d_18.pth", source


def text(place):
    """A transformers folder with its vocabulary, and with a pooler that is not used."""
    source = quietly(lambda: BertModel(BertConfig()))
    source.save_pretrained(place / "bert")
    (place / "bert" / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red"]))
    return place / "bert", lambda x: source(input_ids=x, attention_mask=(x != 0).long()).last_hidden_state[:, 0]


CASES = {
    "resnet101": ("food101", "image", resnet101, {"size": 64}, 2048, 42_500_160),
    "audio_resnet18": ("vggsound", "audio", audio, {"clip": 0.5, "seconds": 0.25}, 512, 11_170_240),
    "r2plus1d18": ("vggsound", "video", video, {"size": 32}, 512, 31_300_125),
    "bert": ("food101", "text", text, {"length": 8}, 768, 108_891_648),
}


@pytest.mark.parametrize("name", CASES)
def test_full_size_loads_published_names_and_takes_two_steps(name, tmp_path):
    data, modality, write, smaller, width, parameters = CASES[name]
    place, source = write(tmp_path)
    knobs = {**preset(f"{data}/pretraining").backbones[modality], **smaller}
    made = build(**knobs, generator=generator(1), weights=place)
    assert (made.name, made.width) == (name, width)
    assert sum(p.numel() for p in made.net.parameters()) == parameters
    if name == "bert":
        x = torch.tensor([[2, 5, 5, 3, 0, 0, 0, 0], [2, 1, 5, 1, 5, 5, 1, 3]])
    else:
        x = torch.randn(2, *made.reading.shape, generator=generator(2))
    with torch.no_grad():
        expected = source(x)
        scale = expected.abs().max().clamp(min=1e-12)
        assert torch.allclose(made.net.eval()(x) / scale, expected / scale, atol=1e-4)
    del source
    two_steps(made, x)


def two_steps(made, x):
    """Pull the features of two items apart; both steps must be real."""
    made.net.train()
    optimizer = torch.optim.AdamW(made.net.parameters(), lr=1e-4, weight_decay=0.02, betas=(0.9, 0.95))
    watched = [n for n, p in made.net.named_parameters() if p.ndim > 1][:: 40 if made.name == "resnet101" else 10]
    for _ in range(2):
        before = {n: made.net.get_parameter(n).detach().clone() for n in watched}
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global state
            unit = torch.nn.functional.normalize(made.net(x), dim=1)
        loss = unit[0] @ unit[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss)
        for n, old in before.items():
            now = made.net.get_parameter(n)
            assert torch.isfinite(now).all()
            assert not torch.equal(now, old), n
