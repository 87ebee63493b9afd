"""How each family of transformers' models turns raw values into features; which part is taken is told in huggingface.

A batch never changes the features of a sample: images, spectrograms and clips have one fixed shape, texts are padded
under an attention mask, and waves are run together only where they are equally long, since the group norm of
wav2vec 2.0 would see the padding.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modest.data.decoding import read_audio, read_image, read_text, read_video
from modest.encoders.parts import Model, Parts, parts, processor, settings

Array = NDArray[Any]
SHORTEST = 0.1  # seconds; shorter sounds are filled up with silence
LONGEST = 30  # seconds of sound that wave models see, unless ?seconds= says otherwise


# images


def _image(model: Model, features: Callable[[Any], Tensor], pooling: str) -> Parts:
    from PIL import Image

    # the PIL processors, so that features do not depend on whether torchvision is installed
    before = processor("AutoImageProcessor", model, backend="pil")

    def prepare(picture: Array) -> Array:
        return np.asarray(before(images=Image.fromarray(picture), return_tensors="np")["pixel_values"][0])

    told = {"pooling": pooling, "processor": settings(before)}
    return parts(model, read_image, prepare, features, np.zeros((64, 64, 3), np.uint8), told)


def paired_image(model: Model) -> Parts:
    """CLIP, SigLIP: projected features of the image tower."""
    return _image(model, lambda x: _projected(model.net.get_image_features(pixel_values=x)), "projected")


def token_image(model: Model) -> Parts:
    """ViT and relatives: the first token."""
    return _image(model, lambda x: _first_token(model.net(pixel_values=x)), "cls")


def map_image(model: Model) -> Parts:
    """Convolutional models: the pooled map."""
    return _image(model, lambda x: model.net(pixel_values=x).pooler_output.flatten(1), "pooler")


# texts


def _text(model: Model, features: Callable[[Any], Tensor], pooling: str, knobs: Sequence[str] = ()) -> Parts:
    tokenizer = processor("AutoTokenizer", model)
    places = int(getattr(getattr(model.config, "text_config", model.config), "max_position_embeddings", 512))
    places -= 2 if model.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet", "clap") else 0
    length = min(int(tokenizer.model_max_length), places, 512)
    # SigLIP was trained on texts filled up to one length, without a mask
    padding = "max_length" if model.config.model_type == "siglip" else "longest"
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()), ensure_ascii=False)
    told = {
        "pooling": pooling,
        "tokenizer": type(tokenizer).__name__,
        "vocabulary": hashlib.sha256(vocabulary.encode("utf-8", "surrogatepass")).hexdigest(),
        "length": length,
        "padding": padding,
    }

    def collate(texts: Sequence[str]) -> Any:
        return tokenizer(list(texts), padding=padding, truncation=True, max_length=length, return_tensors="pt")

    return parts(model, read_text, str, features, "a", told, collate, knobs)


def paired_text(model: Model) -> Parts:
    """CLIP, SigLIP, CLAP: projected features of the text tower."""

    def features(batch: Any) -> Tensor:
        mask = {} if model.config.model_type == "siglip" else {"attention_mask": batch["attention_mask"]}
        return _projected(model.net.get_text_features(input_ids=batch["input_ids"], **mask))

    return _text(model, features, "projected")


def plain_text(model: Model) -> Parts:
    """BERT and relatives: mean over the tokens, or with ``?pooling=cls`` the first."""
    pooling = model.knobs.get("pooling", "mean")
    if pooling not in ("mean", "cls"):
        raise ValueError(f"pooling={pooling!r} is unknown; use mean or cls")

    def features(batch: Any) -> Tensor:
        mask = batch["attention_mask"]
        answer = model.net(input_ids=batch["input_ids"], attention_mask=mask)
        if pooling == "cls":
            return _first_token(answer)
        weight = mask.unsqueeze(-1).to(answer.last_hidden_state.dtype)
        mean: Tensor = (answer.last_hidden_state * weight).sum(1) / weight.sum(1).clamp(min=1)
        return mean

    return _text(model, features, pooling, ["pooling"])


# sounds


def _audio(
    model: Model, key: str, seconds: float | None, features: Callable[[Any], Tensor], pooling: str, **more: Any
) -> Parts:
    extractor = processor("AutoFeatureExtractor", model)
    rate = int(extractor.sampling_rate)
    seconds = extractor.max_length_s if seconds is None else seconds
    least, most = int(SHORTEST * rate), int(seconds * rate)

    def prepare(wave: Array) -> Array:
        wave = np.pad(wave[:most], (0, max(0, least - len(wave))))
        return np.asarray(extractor(wave, sampling_rate=rate, return_tensors="np")[key][0], dtype=np.float32)

    told = {"pooling": pooling, "seconds": seconds, "shortest": SHORTEST, "extractor": settings(extractor)}
    return parts(model, partial(read_audio, rate=rate), prepare, features, np.zeros(rate, np.float32), told, **more)


def wave_audio(model: Model) -> Parts:
    """wav2vec 2.0 and relatives: mean over time of the first ``seconds`` (30) of the wave."""
    text = model.knobs.get("seconds", str(LONGEST))
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"seconds={text!r} is no whole number of seconds; give 1 or more")

    def features(waves: _Waves) -> Tensor:
        answers: dict[int, Tensor] = {}
        for length in {len(wave) for wave in waves.samples}:
            rows = [row for row, wave in enumerate(waves.samples) if len(wave) == length]
            x = torch.from_numpy(np.stack([waves.samples[row] for row in rows])).to(model.device)
            answers.update(zip(rows, model.net(input_values=x).last_hidden_state.mean(1)))
        return torch.stack([answers[row] for row in range(len(waves.samples))])

    return _audio(model, "input_values", int(text), features, "mean", collate=_Waves, knobs=["seconds"])


@dataclass(frozen=True, eq=False)
class _Waves:
    """Waves of different lengths; they move to the device group by group."""

    samples: Sequence[Array]

    def to(self, device: torch.device) -> _Waves:
        return self


def spectrogram_audio(model: Model) -> Parts:
    """AST: mean of the two class tokens; the extractor cuts or fills to one length."""
    return _audio(model, "input_values", LONGEST, lambda x: model.net(input_values=x).pooler_output, "pooler")


def clap_audio(model: Model) -> Parts:
    """CLAP: projected features of the first seconds it was made for (10), where its own extractor cuts at random."""

    def features(x: Tensor) -> Tensor:
        longer = torch.zeros(len(x), 1, dtype=torch.bool, device=x.device)
        return _projected(model.net.get_audio_features(input_features=x, is_longer=longer))

    return _audio(model, "input_features", None, features, "projected")


# clips


def token_video(model: Model) -> Parts:
    """VideoMAE: mean over the tokens of as many frames as the model was made for."""
    before = processor("AutoImageProcessor", model, backend="pil")
    frames = int(model.config.num_frames)

    def prepare(clip: Array) -> Array:
        return np.asarray(before(list(clip), return_tensors="np")["pixel_values"][0])

    told = {"pooling": "mean", "frames": frames, "processor": settings(before)}
    blank = np.zeros((frames, 64, 64, 3), np.uint8)
    decode = partial(read_video, frames=frames)
    return parts(model, decode, prepare, lambda x: model.net(pixel_values=x).last_hidden_state.mean(1), blank, told)


def _projected(answer: Any) -> Tensor:
    """Features of ``get_*_features``: a tensor up to transformers 4, the ``pooler_output`` of an object since 5."""
    features: Tensor = answer if isinstance(answer, Tensor) else answer.pooler_output
    return features


def _first_token(answer: Any) -> Tensor:
    first: Tensor = answer.last_hidden_state[:, 0]
    return first
