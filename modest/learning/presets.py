"""The papers' trainings as arguments of the classifier: MMCSAL's with labels, and MLA's five datasets.

MLA's numbers are those of its appendix A.3.1 and, where that is silent, of the repository's ``main.py``, ``dataset.py``
and ``basic_model.py`` (commits 4735bbc and 11ae1ee); comments say which, and where we depart.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any

from modest.checks import known
from modest.encoders.fbank import FBANK
from modest.encoders.presets import PRESETS, preset
from modest.encoders.reading import IMAGENET

__all__ = ["MLA", "of_preset"]


def _fixed(**knobs: Any) -> Mapping[str, Any]:
    return MappingProxyType(knobs)


_SOUND = {
    "rate": 16000,  # code: the file's own; CREMA-D's is 16 kHz. A.3.1: "fbank acoustic feature", no numbers
    "mels": 128,  # code, as all settings of the filterbank
    "frames": 1024,  # code: padded or cut
    "augment": 0,  # code: none
}
_AUDIO_VIDEO = _fixed(
    audio=_fixed(
        name="audio_resnet18",
        features="fbank",
        **_SOUND,
        mean=FBANK["none"][0],  # code: the logarithms as they are
        std=FBANK["none"][1],
    ),
    video=_fixed(
        name="video_resnet18",
        # A.3.1: "a concatenation of three transformed images"; code: the first frames of three equal parts of a dump at
        # 1 frame a second, in the order of os.listdir. Here the middle ones of three equal parts of the clip
        frames=3,
        of=3,
        size=224,  # code
        keep=256,
        scale=(0.08, 1.0),  # code: torchvision's own; a part and a flip of its own per frame, here one for all three
        flip=0.5,
        mean=IMAGENET[0],  # code
        std=IMAGENET[1],
    ),
)
_PICTURE = {
    "name": "m3ae_image",
    "size": 256,  # code; evaluation there is the whole central square, here 7/8 of it
    "scale": (0.08, 1.0),  # code: timm's training transform, color_jitter=True
    "jitter": (1.0, 1.0, 1.0, 0.0),  # what timm makes of True
    "chances": (0.5, 1.0, 0.0, 0.0),
    "mean": IMAGENET[0],  # code
    "std": IMAGENET[1],
    "order": "pixels",  # code: "channels", which M3AE was not trained on
}
_WORDS = _fixed(
    name="m3ae_text",
    length=256,  # code
    tokenizer="google-bert/bert-base-uncased",  # A.3.1: "tokenized text extracted using a BERT-based model"; code
    pooling="all",  # code: the mean over all tokens, padding too
)
_TEXT_IMAGE = _fixed(text=_WORDS, image=_fixed(**_PICTURE))
_ALL_THREE = _fixed(
    audio=_fixed(
        name="cavmae_audio",
        **_SOUND,
        mean=FBANK["cav_mae"][0],  # as the weights were trained; the code has these numbers and leaves them unused
        std=FBANK["cav_mae"][1],
    ),
    video=_fixed(**_PICTURE, clip=True),  # A.3.1: "transformed images"; code: the frame in the middle
    text=_WORDS,
)
# name -> encoders in the order of the code's turns, width of the features. Kinetics-Sounds: A.3.1 gives it what CREMA-D
# has, its loader in the code is a stub
MLA: Mapping[str, tuple[Mapping[str, Mapping[str, Any]], int]] = MappingProxyType(
    {
        "mla/cremad": (_AUDIO_VIDEO, 512),
        "mla/kinetics_sounds": (_AUDIO_VIDEO, 512),
        "mla/food101": (_TEXT_IMAGE, 768),
        "mla/mvsa": (_TEXT_IMAGE, 768),
        "mla/iemocap": (_ALL_THREE, 768),
    }
)
_NUMBERS = {
    "epochs": 100,  # code
    "warmup": 0.0,
    "lr": 1e-3,
    "batch_size": 64,
    "weight_decay": 1e-4,  # code
    "optimizer": "sgd",  # momentum 0.9, which is also the loop's
    "schedule": "step",  # code: times 0.1 after 70 of 100 epochs; A.3.1: "at regular intervals"
}


def of_preset(name: str, weights: Mapping[str, str | PathLike[str]] | None = None) -> dict[str, Any]:
    """Keyword arguments of MultimodalClassifier that a preset stands for.

    "food101/supervised" and its like: the classifier is BMMAL's, which MMCSAL's code follows: concatenation with a head
    per modality beside the joint one. A semi-supervised preset names no encoders: they are those of the pretraining, to
    be given as ``encoders``.

    "mla/cremad", "mla/kinetics_sounds", "mla/food101", "mla/mvsa", "mla/iemocap": ``mla`` with the library's own
    options, for the paper gives none of the projection and the release never runs it. Two departures hold for all: the
    epoch is chosen on validation rows, not on the test set, and a linear layer of the width of the features stands
    between each encoder and the shared head.

    Parameters
    ----------
    name : of the preset
    weights : modality -> published weights to start from. MLA takes the released M3AE-base and CAV-MAE, which no hub
        has: without them its last three presets start from first weights

    Raises
    ------
    ValueError
        For an unknown preset, one that pretrains, or weights of a modality it does not have.

    Examples
    --------
    >>> of_preset("mla/cremad")["encoders"]["video"]["frames"]
    3
    """
    known(name, (*PRESETS, *MLA), "preset")
    settings = _of_mla(name) if name in MLA else _of_mmcsal(name)
    for modality, place in (weights or {}).items():
        given = settings["encoders"] or {}
        given[known(modality, given, "weights")]["weights"] = str(place)
    return settings


def _of_mla(name: str) -> dict[str, Any]:
    encoders, width = MLA[name]
    given = {modality: dict(knobs) for modality, knobs in encoders.items()}
    return {"method": "mla", "options": None, "encoders": given, "width": width, **_NUMBERS}


def _of_mmcsal(name: str) -> dict[str, Any]:
    told = preset(name)
    if told.stage == "pretraining":
        raise ValueError(f"preset {name!r} has no labels to train on; give it to modest represent.")
    rates = told.rates
    lr = rates.pop("heads")
    return {
        "method": "concat",
        "options": {"unimodal_heads": True},
        "encoders": told.encoders if told.start == "published" else None,
        "epochs": told.epochs,
        "warmup": told.warmup,
        "lr": lr,
        "rates": rates,
        "batch_size": told.batch,
        "weight_decay": told.weight_decay,
        "betas": told.betas,
        "optimizer": told.optimizer,
        "schedule": told.schedule,
        "width": told.width,
    }
