"""``hf:``: frozen encoders through transformers, from the hub, its cache, or a local folder.

Which part of a model's answer is the feature, by family:

* CLIP, SigLIP, CLAP: the projected features of the tower of the kind asked for, as they were trained to be compared.
* BERT and its relatives: the mean over the tokens that are no padding. Their first token is only trained to stand for a
  whole text by a later fine-tuning, and without that the mean is the better summary (Reimers and Gurevych 2019);
  ``?pooling=cls`` takes the first token.
* ViT, DeiT, DINOv2: the first token after the last layer norm. ViT's pooler on top of it is often untrained.
* ResNet, ConvNeXt, Swin and the like: the average over the last map, as their classifiers see it.
* wav2vec 2.0, HuBERT, WavLM: the mean over time. AST: the mean of its two class tokens. VideoMAE: the mean over tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modest.encoders import families
from modest.encoders.encoder import Encoder, slug
from modest.encoders.parts import Model, Parts

TEXT = ("bert", "distilbert", "roberta", "xlm-roberta", "camembert", "mpnet", "albert", "electra", "deberta-v2")
# model_type of the configuration -> kind -> how its features are made
FAMILIES: dict[str, dict[str, Callable[[Model], Parts]]] = {
    "clip": {"image": families.paired_image, "text": families.paired_text},
    "siglip": {"image": families.paired_image, "text": families.paired_text},
    "clap": {"audio": families.clap_audio, "text": families.paired_text},
    **{name: {"text": families.plain_text} for name in TEXT},
    **{name: {"image": families.token_image} for name in ("vit", "deit", "dinov2", "dinov2_with_registers")},
    **{name: {"image": families.map_image} for name in ("resnet", "convnext", "convnextv2", "swin", "regnet")},
    **{name: {"audio": families.wave_audio} for name in ("wav2vec2", "hubert", "wavlm")},
    "audio-spectrogram-transformer": {"audio": families.spectrogram_audio},
    "videomae": {"video": families.token_video},
}
# parameters that a published checkpoint may lack because no feature depends on them
UNUSED = ("pooler.", "masked_spec_embed", "embeddings.mask_token")


def huggingface(uri: str, place: str, knobs: Mapping[str, str], kind: str | None, device: Any) -> Encoder:
    """Encoder of a model of the hub or a local folder.

    Parameters
    ----------
    uri, place : the whole URI, and what follows ``hf:``, ``<model id or folder>[@revision]``
    knobs : ``pooling`` (``mean`` or ``cls``, BERT-like models), ``seconds`` (sound beyond it is cut off)
    kind : which tower; left out, the first the family has
    device : as :func:`modest.neighbours.decide`

    Returns
    -------
    Encoder whose ``revision`` is the commit at the hub, or the SHA-256 of a local folder's weights.

    Raises
    ------
    ValueError
        If there is no model, its weights are missing or belong to another architecture, or it reads other kinds.
    ImportError
        If transformers is not installed.
    """
    from modest.neighbours.device import decide

    try:
        import transformers
    except ImportError:
        raise ImportError(f"{uri} needs transformers; install it with: pip install 'modest[media]'") from None
    folder, revision = _place(place)
    options: dict[str, Any] = {"revision": revision} if revision else {}
    if Path(folder).is_dir():
        options = {"local_files_only": True}
        _check_folder(uri, Path(folder))
    with quiet(transformers), one_sentence(uri):
        config = transformers.AutoConfig.from_pretrained(folder, **options)
        make = _family(uri, config.model_type, kind)
        model, told = transformers.AutoModel.from_pretrained(
            folder, config=config, dtype="float32", output_loading_info=True, **options
        )
        lacking = sorted(key for key in told["missing_keys"] if not key.startswith(UNUSED))
        if lacking:
            raise ValueError(
                f"{uri} is another architecture than its config.json says: {type(model).__name__} finds no weights for "
                f"{len(lacking)} of its parameters, {lacking[0]} first; get the whole folder again"
            )
        where = decide(device)
        parts = make(Model(model.to(where).eval(), config, folder, options, dict(knobs), where))
    commit = getattr(config, "_commit_hash", None)
    kind = kind or next(iter(FAMILIES[config.model_type]))
    return Encoder(
        uri=uri,
        name=slug(uri),
        kind=kind,
        dim=int(parts.forward([parts.prepare(parts.blank)]).shape[1]),
        revision=f"sha256:{weights_hash(Path(folder))}" if Path(folder).is_dir() else str(commit),
        preprocessing={"encoder": "hf", "family": config.model_type, "kind": kind, **parts.preprocessing},
        read=lambda value: parts.prepare(parts.decode(value)),
        forward=parts.forward,
    )


def _place(place: str) -> tuple[str, str | None]:
    """Folder or model id, and revision."""
    whole = Path(place).expanduser()
    if whole.is_dir():
        return str(whole), None
    name, _, revision = place.partition("@")
    whole = Path(name).expanduser()
    if not whole.is_dir() and name.startswith(("/", ".", "~")):
        raise ValueError(f"hf:{place} is no folder that is there; give the folder of a model, or its id at the hub.")
    return (str(whole) if whole.is_dir() else name), revision or None


def _check_folder(uri: str, folder: Path) -> None:
    """Refuse a folder without a configuration or without weights before transformers looks at it."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"{uri} holds no model: config.json is not there; give the folder that holds it.")
    if not weights_files(folder):
        raise ValueError(f"{uri} holds no weights: model.safetensors is not there; get the whole folder.")


def weights_files(folder: Path) -> list[Path]:
    """Files of a folder that hold weights, by name: ``*.safetensors``, or else ``pytorch_model*.bin``."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def weights_hash(folder: Path) -> str:
    """SHA-256, hexadecimal, of the weights' files one after the other, read in pieces."""
    digest = hashlib.sha256()
    for path in weights_files(folder):
        with path.open("rb") as handle:
            while piece := handle.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


def _family(uri: str, model_type: str, kind: str | None) -> Callable[[Model], Parts]:
    """How a model type makes features of one kind."""
    if model_type not in FAMILIES:
        raise ValueError(f"{uri} is a {model_type} model, which modest cannot use; it knows {', '.join(FAMILIES)}")
    found = FAMILIES[model_type]
    if kind is not None and kind not in found:
        right = [name for name, ways in FAMILIES.items() if kind in ways]
        raise ValueError(
            f"{uri} is a {model_type} model, which reads {' or '.join(found)}, not {kind}; "
            f"for {kind} use one of {', '.join(right)}"
        )
    return found[kind or next(iter(found))]


@contextmanager
def one_sentence(uri: str) -> Iterator[None]:
    """Turn what transformers raises while loading into one sentence."""
    from safetensors import SafetensorError

    try:
        yield
    except ImportError as error:
        raise ImportError(f"{uri} needs a package that is not installed ({_first(error)}).") from error
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError, SafetensorError) as error:
        told = _first(error)
        told = told if told.startswith(uri) else f"{uri} cannot be loaded ({told}); check its name or its files"
        raise ValueError(f"{told}.") from error


def _first(error: BaseException) -> str:
    """Return the first sentence of an error, short."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".:")[:300]


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers' bars and reports off the screen; what they say is checked here."""
    log = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()
