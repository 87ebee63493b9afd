"""CLIP and SigLIP as trainable encoders: each tower with its projection, from a transformers folder or the hub.

======================  ============  =====================================================================
backbone                reads         gives
======================  ============  =====================================================================
``clip_image``          pictures      ``visual_projection`` of the pooled first token
``clip_text``           texts         ``text_projection`` of the pooled end token
``siglip_image``        pictures      the attention-pooled patches
``siglip_text``         texts         the head over the last token, texts filled up to the model's full length
======================  ============  =====================================================================

The features lie in the space that the model was trained to compare in. Nothing is augmented: a picture goes through the
model's own image processor once and is kept as that. CLIP's text tower looks only backwards from the end token, so
columns that are empty in a whole batch are left out; SigLIP was trained on full length without a mask and sees it all.
A saved model keeps its weights; tokenizer, image processor and sizes are read again from the folder or hub id.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modest.data.decoding import read_image, read_text
from modest.encoders.huggingface import one_sentence, quiet
from modest.encoders.parts import Model, processor
from modest.encoders.reading import Reading
from modest.encoders.weights import located, read_settings

__all__ = ["ProjectedTower", "family", "two_tower"]

FAMILIES = ("clip", "siglip")


class ProjectedTower(nn.Module):
    """One tower of a two-tower model with its projection: (k, 3, s, s) pixels or (k, length) tokens to (k, width).

    ``temper``: loss the model was trained with ("clip" or "siglip"), its learned logit scale and bias (None for CLIP).
    """

    def __init__(self, body: nn.Module, head: nn.Module, width: int, pad: int | None, temper: dict[str, Any]) -> None:
        super().__init__()
        self.body, self.head, self.width = body, head, width
        self._pad, self.temper = pad, temper

    def forward(self, x: Tensor) -> Tensor:
        """Features in the common space, not yet divided by their norm."""
        if x.is_floating_point():
            pooled = self.body(pixel_values=x).pooler_output
        elif self._pad is None:
            pooled = self.body(input_ids=x).pooler_output
        else:  # one column beyond the longest text stays: where padding is the end token, it may be the end
            longest = min(x.shape[1], int((x != self._pad).sum(dim=1).max()) + 1)
            pooled = self.body(input_ids=x[:, :longest]).pooler_output
        features: Tensor = self.head(pooled)
        return features


def family(place: str | Path) -> str:
    """``clip`` or ``siglip``, by the ``config.json`` of a folder or hub id.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or model.
    ValueError
        If the folder has no config.json, or it is a model of another type.
    """
    folder = located(place)
    settings = read_settings(folder)
    if not settings:
        raise ValueError(f"{place} holds no model: config.json is not there; give the folder that holds it.")
    found = str(settings.get("model_type"))
    if found not in FAMILIES:
        raise ValueError(f"{place} is a {found} model, which has no two towers; give a CLIP or SigLIP model.")
    return found


def two_tower(
    name: str, place: str | Path, generator: torch.Generator, filled: bool
) -> tuple[ProjectedTower, Reading, dict[str, Any]]:
    """Tower, reading and decided knobs of one side of a two-tower model.

    Parameters
    ----------
    name : clip_image | clip_text | siglip_image | siglip_text
    place : transformers folder or hub id: sizes, tokenizer, image processor, weights
    generator : seeded, of first weights where they are not ``filled``
    filled : read the published weights; else the sizes alone, for weights that are put back or trained from scratch

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, it is of another type, a file is damaged, or weights are missing.
    ImportError
        If transformers is not installed.
    """
    wanted, _, side = name.partition("_")
    found = family(place)
    if found != wanted:
        raise ValueError(f"{place} is a {found} model, not a {wanted} one; name it {found}_{side}.")
    model = _model(str(place), generator, filled)
    scale, bias = model.net.logit_scale.item(), getattr(model.net, "logit_bias", None)
    temper = {"loss": found, "logit_scale": scale, "bias": None if bias is None else bias.item()}
    body = model.net.vision_model if side == "image" else model.net.text_model
    head = getattr(model.net, "visual_projection" if side == "image" else "text_projection", None)
    with one_sentence(str(place)):
        reading, pad = _pictures(model) if side == "image" else _texts(model)
    width = _width(model, side)
    return ProjectedTower(body, head or nn.Identity(), width, pad, temper), reading, {"place": str(place)}


def _model(place: str, generator: torch.Generator, filled: bool) -> Model:
    try:
        import transformers
    except ImportError:
        raise ImportError(f"{place} needs transformers; install it with: pip install 'modest[media]'") from None
    folder = str(located(place))
    options = {"local_files_only": True}
    with quiet(transformers), one_sentence(place):
        config = transformers.AutoConfig.from_pretrained(folder, **options)
        if filled:
            net, told = transformers.AutoModel.from_pretrained(
                folder, config=config, dtype="float32", output_loading_info=True, **options
            )
            if told["missing_keys"]:
                raise ValueError(f"{place} has no weights of {min(told['missing_keys'])}; get the whole folder again")
        else:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
                net = transformers.AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    return Model(net, config, folder, options, {}, torch.device("cpu"))


def _width(model: Model, side: str) -> int:
    if model.config.model_type == "clip":
        return int(model.config.projection_dim)
    part = model.config.vision_config if side == "image" else model.config.text_config
    return int(getattr(part, "projection_size", None) or part.hidden_size)


def _pictures(model: Model) -> tuple[Reading, None]:
    from PIL import Image

    before = processor("AutoImageProcessor", model, backend="pil")

    def read(value: Any) -> NDArray[np.float32]:
        pixels = value if isinstance(value, np.ndarray) else read_image(value)
        answer = before(images=Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
        return np.asarray(answer, dtype=np.float32)

    shape = read(np.zeros((64, 64, 3), np.uint8)).shape
    return Reading("image", read, lambda x, rng: torch.from_numpy(x), torch.from_numpy, shape, torch.float32), None


def _texts(model: Model) -> tuple[Reading, int | None]:
    tokenizer = processor("AutoTokenizer", model)
    places = int(model.config.text_config.max_position_embeddings)
    length = min(int(tokenizer.model_max_length), places)

    def read(value: str) -> NDArray[np.int64]:
        found = tokenizer(read_text(value), padding="max_length", truncation=True, max_length=length)["input_ids"]
        return np.asarray(found, dtype=np.int64)

    reading = Reading("text", read, lambda x, rng: torch.from_numpy(x), torch.from_numpy, (length,), torch.int64)
    return reading, int(tokenizer.pad_token_id) if model.config.model_type == "clip" else None
