"""``timm:`` and ``openclip:``: encoders of packages that are used when the user has them.

Neither is a dependency: both need torchvision, whose builds for CPU torch do not always load.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modest.data.decoding import read_image, read_text
from modest.encoders.encoder import Encoder, slug


def timm_model(uri: str, place: str, knobs: Mapping[str, str], kind: str | None, device: Any) -> Encoder:
    """Images through timm: the pooled features of a pretrained model, its classifier left out.

    Parameters
    ----------
    uri, place : the whole URI, and the model's name
    knobs : none are known
    kind : ``image``
    device : as :func:`modest.neighbours.decide`

    Raises
    ------
    ValueError
        If timm does not know the model.
    ImportError
        If timm is not installed, or does not load.
    """
    from modest.neighbours.device import decide

    timm = _imported(uri, "timm", "timm", knobs)
    where = decide(device)
    try:
        model = timm.create_model(place, pretrained=True, num_classes=0)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ValueError(f"{uri} cannot be loaded ({_first(error)}); timm.list_models() has the names.") from error
    model = model.to(where).eval()
    settings = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**settings, is_training=False)

    def forward(samples: Sequence[Tensor]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return _numpy(model(torch.stack(list(samples)).to(where)))

    return _encoder(uri, "image", model, {"encoder": "timm", "settings": settings}, _picture(transform), forward)


def openclip_model(uri: str, place: str, knobs: Mapping[str, str], kind: str | None, device: Any) -> Encoder:
    """Images or texts through open_clip: the projected features of one tower of ``<model>/<pretrained>``.

    Parameters
    ----------
    uri, place : the whole URI, and ``<model>/<pretrained>``
    knobs : none are known
    kind : ``image`` (also where left out) or ``text``
    device : as :func:`modest.neighbours.decide`

    Raises
    ------
    ValueError
        If ``place`` has no slash, or open_clip does not know the model.
    ImportError
        If open_clip is not installed, or does not load.
    """
    from modest.neighbours.device import decide

    name, slash, pretrained = place.partition("/")
    if not name or not slash or not pretrained:
        raise ValueError(
            f"{uri!r} names no weights; write openclip:<model>/<pretrained>, e.g. openclip:ViT-B-32/openai."
        )
    open_clip = _imported(uri, "open_clip", "open_clip_torch", knobs)
    where = decide(device)
    try:
        model, _, transform = open_clip.create_model_and_transforms(name, pretrained=pretrained)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"{uri} cannot be loaded ({_first(error)}); open_clip.list_pretrained() has the names."
        ) from error
    model = model.to(where).eval()
    if kind != "text":
        settings = {"encoder": "openclip", "kind": "image", "transform": str(transform)}

        def see(samples: Sequence[Tensor]) -> NDArray[np.float32]:
            with torch.inference_mode():
                return _numpy(model.encode_image(torch.stack(list(samples)).to(where)))

        return _encoder(uri, "image", model, settings, _picture(transform), see)
    tokenizer = open_clip.get_tokenizer(name)

    def forward(samples: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return _numpy(model.encode_text(tokenizer(list(samples)).to(where)))

    settings = {"encoder": "openclip", "kind": "text", "tokenizer": type(tokenizer).__name__}
    return _encoder(uri, "text", model, settings, read_text, forward)


def _encoder(uri: str, kind: str, model: Any, settings: Mapping[str, Any], read: Any, forward: Any) -> Encoder:
    """Learn the width from one blank sample, and the revision from the weights."""
    blank = read("a") if kind == "text" else read.prepare(np.zeros((64, 64, 3), np.uint8))
    dim = int(forward([blank]).shape[1])
    return Encoder(uri, slug(uri), kind, dim, f"sha256:{tensors_hash(model)}", settings, read, forward)


class _picture:  # noqa: N801
    """Raw value -> sample of an image: decode, then the package's own transform."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __call__(self, value: str) -> Tensor:
        return self.prepare(read_image(value))

    def prepare(self, picture: NDArray[np.uint8]) -> Tensor:
        from PIL import Image

        sample: Tensor = self.transform(Image.fromarray(picture))
        return sample


def tensors_hash(model: Any) -> str:
    """SHA-256, hexadecimal, of a model's weights: names, types, shapes and bytes, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _imported(uri: str, module: str, package: str, knobs: Mapping[str, str]) -> Any:
    """Import a package that is no dependency."""
    if knobs:
        raise ValueError(f"{uri!r} names a knob {next(iter(knobs))!r}; {module} encoders have none.")
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{uri} needs {package} ({_first(error)}); install it with: pip install {package}") from None
    except RuntimeError as error:  # a torchvision built for another torch
        raise ImportError(f"{uri} needs {package}, which does not load here ({_first(error)}).") from error


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")[:300]


def _numpy(answer: Tensor) -> NDArray[np.float32]:
    return np.asarray(answer.detach().float().cpu().numpy(), dtype=np.float32)
