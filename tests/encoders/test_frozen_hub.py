"""URIs, and the adapters of packages that need not be installed (played by stand-ins)."""

import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from modest.encoders import kinds, load
from modest.encoders.encoder import slug


@pytest.mark.parametrize("uri", ["", "nix", "ftp:model", "hf:", "pixel", "timm"])
def test_unknown_uris_name_the_known_ones(uri):
    with pytest.raises(ValueError, match=r"pixels, logmel, hashed-text, hf:.*timm:.*openclip:.*npy:"):
        load(uri)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("pixels?size=0", "from 1 to 256"),
        ("pixels?size=x", "whole number"),
        ("pixels?colour=3", "its knobs are size"),
        ("pixels?size", "name=value"),
        ("pixels?size=2&size=3", "name=value"),
        ("hashed-text?chars=0&words=0", "counts nothing"),
        ("npy:a.npy", "embed"),
        ("openclip:ViT-B-32", "openclip:<model>/<pretrained>"),
    ],
)
def test_queries_that_cannot_be_read(uri, told):
    with pytest.raises(ValueError, match=told):
        load(uri)


def test_an_encoder_that_reads_another_kind_says_which_to_use():
    with pytest.raises(ValueError, match=r"'logmel' reads audio, not image; for image use pixels or hf:"):
        load("logmel", "image")
    with pytest.raises(ValueError, match="kind='smell' is unknown"):
        load("pixels", "smell")


def test_names_are_safe_as_files_and_knobs_are_in_the_hash():
    assert slug("hf:/some/where/my model/") == "my-model"
    assert slug("hf:org/model@v1.0") == "org-model-v1.0"
    assert "/" not in slug("openclip:ViT-B-32/laion2b")
    a, b = load("pixels"), load("pixels?size=8")
    assert (a.name, b.name) == ("pixels", "pixels-size-8")
    assert a.preprocessing_hash != b.preprocessing_hash
    assert a.preprocessing_hash == load("pixels").preprocessing_hash
    assert kinds("hf:any/model") == ("image", "audio", "video", "text")


@pytest.fixture
def image(tmp_path):
    paths = []
    for k in range(3):
        x = np.random.default_rng(k).integers(0, 256, (6 + k, 7, 3), dtype=np.uint8)
        paths.append(str(tmp_path / f"{k}.png"))
        Image.fromarray(x).save(paths[-1])
    return paths


def transform(size):
    def to_tensor(picture):
        x = torch.from_numpy(np.asarray(picture.resize((size, size)), dtype=np.float32) / 255)
        return x.permute(2, 0, 1)

    return to_tensor


class Flat(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1, 1, inputs * outputs).reshape(outputs, inputs))
        self.drop = torch.nn.Dropout(0.9)

    def forward(self, x):
        return self.drop(x.flatten(1) @ self.weight.T)

    encode_image = forward

    def encode_text(self, tokens):
        return self.drop(tokens.float() @ self.weight[:, : tokens.shape[1]].T)


def test_timm(monkeypatch, image):
    asked = {}

    def create_model(name, pretrained, num_classes):
        asked.update(name=name, pretrained=pretrained, num_classes=num_classes)
        if name != "tiny.a1":
            raise RuntimeError(f"Unknown model ({name})")
        return Flat(3 * 4 * 4, 5)

    fake = types.ModuleType("timm")
    fake.create_model = create_model
    fake.data = types.SimpleNamespace(
        resolve_model_data_config=lambda model: {"input_size": (3, 4, 4)},
        create_transform=lambda input_size, is_training: transform(input_size[1]),
    )
    monkeypatch.setitem(sys.modules, "timm", fake)
    encoder = load("timm:tiny.a1", device="cpu")
    assert asked == {"name": "tiny.a1", "pretrained": True, "num_classes": 0}
    assert (encoder.kind, encoder.dim, encoder.name) == ("image", 5, "timm-tiny.a1")
    assert encoder.revision.startswith("sha256:")
    found = encoder.encode(image)
    assert np.array_equal(found, encoder.encode(image))  # dropout is off
    assert np.allclose(found[2], encoder.encode(image[2:])[0], atol=1e-5)
    assert encoder.preprocessing["settings"] == {"input_size": (3, 4, 4)}
    with pytest.raises(ValueError, match=r"timm:none cannot be loaded \(Unknown model"):
        load("timm:none")
    with pytest.raises(ValueError, match="reads image, not text"):
        load("timm:tiny.a1", "text")
    with pytest.raises(ValueError, match="have none"):
        load("timm:tiny.a1?size=3")


def test_openclip(monkeypatch, image):
    asked = []

    def create(name, pretrained):
        asked.append((name, pretrained))
        return Flat(3 * 4 * 4, 6), None, transform(4)

    def tokens(texts):
        return torch.tensor([[len(text), text.count("a")] for text in texts])

    fake = types.ModuleType("open_clip")
    fake.create_model_and_transforms = create
    fake.get_tokenizer = lambda name: tokens
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    see, read = load("openclip:ViT/some", "image", "cpu"), load("openclip:ViT/some", "text", "cpu")
    assert asked == [("ViT", "some")] * 2
    assert (see.kind, read.kind, see.dim, read.dim) == ("image", "text", 6, 6)
    assert see.revision == read.revision
    assert see.preprocessing_hash != read.preprocessing_hash
    assert see.encode(image).shape == (3, 6)
    weight = torch.linspace(-1, 1, 6 * 48).reshape(6, 48)
    assert np.allclose(read.encode(["banana"])[0], weight[:, 0] * 6 + weight[:, 1] * 3)


@pytest.mark.parametrize(
    ("uri", "module"), [("timm:x", "timm"), ("openclip:a/b", "open_clip"), ("hf:x", "transformers")]
)
def test_a_missing_package_is_one_sentence_with_the_install_line(monkeypatch, uri, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"needs .*pip install") as error:
        load(uri)
    assert "\n" not in str(error.value)
