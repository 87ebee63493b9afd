"""The nine settings of MMCSAL's trainings: three datasets, each pretraining, supervised and semi-supervised.

Numbers are those of the paper (sections 4.3 and 6.1 to 6.3). Where it is silent, the comment beside the number says
what is taken and why; "BMMAL" is the released code whose data settings section 6.1 follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from modest.checks import known
from modest.encoders.reading import IMAGENET, KINETICS
from modest.encoders.spectrogram import STATISTICS

__all__ = ["PRESETS", "Preset", "preset"]


@dataclass(frozen=True)
class Preset:
    """One training, as the paper sets it.

    Parameters
    ----------
    data, stage : food101 | kinetics_sound | vggsound; pretraining | supervised | semi_supervised
    section : of the paper
    epochs, warmup : epochs in all, and those of them in which the rate rises linearly
    lr : highest rate per group of parameters: ``encoders.<modality>``, ``projectors``, and ``heads`` of a classifier
    weight_decay, betas : of AdamW
    backbones : modality -> keyword arguments of :func:`modest.encoders.trainable.build`
    weights : modality -> published weights to start from (a hub name), None = from the generator
    start : ``published`` = from ``weights``; ``pretraining`` = from the encoders of the pretraining
    prototypes : clusters per modality; None where there is no prototype loss
    width : features after the linear projector
    temperature : of the contrastive and of the prototype loss; None where there is neither
    batch, local_batch, processes : 256 = 64 on each of 4
    optimizer, schedule : AdamW, a cosine after the warm-up
    """

    data: str
    stage: str
    section: str
    epochs: int
    warmup: int
    lr: Mapping[str, float]
    weight_decay: float
    betas: tuple[float, float]
    backbones: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, str | None]
    start: str
    prototypes: int | None = None
    width: int = 512
    temperature: float | None = None
    batch: int = 256
    local_batch: int = 64
    processes: int = 4
    optimizer: str = "adamw"
    schedule: str = "cosine"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of ``backbones``."""
        return tuple(self.backbones)

    @property
    def encoders(self) -> dict[str, dict[str, Any]]:
        """Keyword arguments of ``build`` by modality, published weights among them where the paper starts from some."""
        named = {m: {"weights": weights} if weights else {} for m, weights in self.weights.items()}
        return {m: {**knobs, **named[m]} for m, knobs in self.backbones.items()}

    @property
    def rates(self) -> dict[str, float]:
        """Highest rates by modality, "projectors" and "heads", as trainings take them."""
        return {group.removeprefix("encoders."): rate for group, rate in self.lr.items()}


def _fixed(table: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({key: _fixed(value) if isinstance(value, dict) else value for key, value in table.items()})


_FOOD = _fixed(
    {
        "image": {
            "name": "resnet101",
            "size": 224,
            "scale": (0.08, 1.0),  # silent; the usual range of a random resized crop
            # silent; BMMAL: brightness, contrast, saturation 0.4 and hue 0.1, with probability 0.8; grey 0.2; flip 0.5;
            # a blur of 21 pixels on every picture, which the paper's list ("such as") neither names nor excludes
            "jitter": (0.4, 0.4, 0.4, 0.1),
            "chances": (0.5, 0.8, 0.2, 1.0),
            "mean": IMAGENET[0],  # silent; BMMAL
            "std": IMAGENET[1],
        },
        "text": {"name": "bert", "length": 100},  # length: silent; BMMAL
    }
)


def _clips(data: str) -> Mapping[str, Any]:
    mean, std = STATISTICS[data]  # silent; BMMAL
    return _fixed(
        {
            "video": {
                "name": "r2plus1d18",
                "size": 168,  # BMMAL: 112
                "frames": 3,  # which ones in evaluation: silent; the middles of equal parts. BMMAL: 5
                "of": 10,
                "scale": (0.08, 1.0),  # silent
                "flip": 0.5,  # silent; BMMAL
                "mean": KINETICS[0],  # silent; BMMAL
                "std": KINETICS[1],
            },
            "audio": {
                "name": "audio_resnet18",
                "rate": 16000,
                "clip": 10.0,  # silent; BMMAL pads and cuts to ten seconds
                "seconds": 5.0,  # the middle ones in evaluation: BMMAL
                "n_fft": 512,
                "window": 512,
                "hop": 159,
                "mean": mean,
                "std": std,
            },
        }
    )


_BACKBONES = {"food101": _FOOD, "kinetics_sound": _clips("kinetics_sound"), "vggsound": _clips("vggsound")}
# "pretrained ResNet-101" and "pretrained Bert-base" (4.3): which of the published ones is not said; BMMAL takes
# torchvision's second ImageNet weights and bert-base-uncased. For clips the paper names no pretrained weights: none.
_WEIGHTS: Mapping[str, Mapping[str, str | None]] = {
    "food101": _fixed({"image": "microsoft/resnet-101", "text": "google-bert/bert-base-uncased"}),
    "kinetics_sound": _fixed({"video": None, "audio": None}),
    "vggsound": _fixed({"video": None, "audio": None}),
}
# 6.1: clusters per modality (4.3)
_PROTOTYPES = {"food101": 1000, "kinetics_sound": 500, "vggsound": 5000}
_SSL = (0.02, (0.9, 0.95))  # weight decay and betas, 6.1
_LABELLED = (0.01, (0.9, 0.999))  # 6.2; 6.3 says "the same optimizer as in supervised", without repeating the numbers
# (data, stage) -> epochs, warm-up, highest rates of the two encoders in the order of the backbones
_TIMES: Mapping[tuple[str, str], tuple[int, int, float, float]] = {
    ("food101", "pretraining"): (25, 5, 1e-4, 1e-5),
    ("food101", "supervised"): (15, 5, 1e-4, 1e-5),
    ("food101", "semi_supervised"): (10, 5, 2e-5, 2e-6),
    ("kinetics_sound", "pretraining"): (45, 15, 1e-3, 1e-3),
    ("kinetics_sound", "supervised"): (45, 15, 1e-3, 1e-3),
    ("kinetics_sound", "semi_supervised"): (20, 10, 5e-4, 5e-4),
    ("vggsound", "pretraining"): (45, 15, 1e-3, 1e-3),
    ("vggsound", "supervised"): (45, 15, 1e-3, 1e-3),
    # 6.3 prints this sentence twice, with the same numbers; KineticsSound differs only in the rate of the encoders
    ("vggsound", "semi_supervised"): (20, 10, 1e-4, 1e-4),
}
_SECTIONS = {"pretraining": "6.1", "supervised": "6.2", "semi_supervised": "6.3"}
_PROJECTORS = 1e-3  # in all nine


def _preset(data: str, stage: str) -> Preset:
    epochs, warmup, *rates = _TIMES[data, stage]
    pretraining = stage == "pretraining"
    lr = {f"encoders.{name}": rate for name, rate in zip(_BACKBONES[data], rates, strict=True)}
    lr["projectors"] = _PROJECTORS
    if not pretraining:
        lr["heads"] = _PROJECTORS  # silent: no rate is given for the layers of the classifier; that of the projectors
    decay, betas = _SSL if pretraining else _LABELLED
    made = Preset(
        data=data,
        stage=stage,
        section=_SECTIONS[stage],
        epochs=epochs,
        warmup=warmup,
        lr=MappingProxyType(lr),
        weight_decay=decay,
        betas=betas,
        backbones=_BACKBONES[data],
        weights=_WEIGHTS[data],
        # 4.4 trains supervised without the pretraining: on Food101 still from the published weights of 4.3
        start="pretraining" if stage == "semi_supervised" else "published",
    )
    # batch: 4.3 gives 256 for pretraining, "64 on each GPU" is 6.1; 6.2 and 6.3 are silent and keep it.
    # schedule: cosine with linear warm-up is 6.1; 6.2 and 6.3 name the warm-up only and keep it.
    return replace(made, prototypes=_PROTOTYPES[data], temperature=0.07) if pretraining else made


# "food101/pretraining" ... -> Preset
PRESETS: Mapping[str, Preset] = MappingProxyType({f"{data}/{stage}": _preset(data, stage) for data, stage in _TIMES})


def preset(name: str) -> Preset:
    """Preset by name, e.g. ``"food101/pretraining"``.

    Raises
    ------
    ValueError
        Listing the nine names.

    Examples
    --------
    >>> preset("vggsound/semi_supervised").lr["encoders.audio"]
    0.0001
    """
    return PRESETS[known(name, PRESETS, "preset")]
