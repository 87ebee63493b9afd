"""BERT over texts (Devlin et al. 2019), by transformers' ``BertModel``; the feature is [CLS] of the last layer.

A sample is (length,) int64 token numbers: [CLS] first, 0 where there is no token. With published weights the tokens are
those of their tokenizer. Without, words are hashed into a vocabulary of the wanted size, which needs no file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modest.data.keys import keys
from modest.encoders.initialise import built
from modest.encoders.weights import fill, located, read_settings, read_state, refuse_other

__all__ = ["HASHED", "Bert", "bert", "hashed_tokens", "tokenizer_place", "tokens"]

HASHED = "hashed"
PAD, CLS, SEP, FIRST_WORD = 0, 1, 2, 3  # of the hashed vocabulary
USUAL = {"model_type": "bert", "hidden_act": "gelu", "pad_token_id": 0, "position_embedding_type": "absolute"}
VOCABULARIES = ("tokenizer.json", "vocab.txt")
DROPPED = ("pooler.", "cls.", "classifier.", "embeddings.position_ids", "embeddings.token_type_ids")


class Bert(nn.Module):
    """Tokens (k, length) int64, 0 = none, to features (k, width)."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body = body
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """[CLS] of the last layer; columns that are empty in all rows are not computed."""
        there = x != PAD
        longest = int(there.sum(dim=1).max())
        states = self.body(input_ids=x[:, :longest], attention_mask=there[:, :longest].long()).last_hidden_state
        first: Tensor = states[:, 0]
        return first


def bert(
    *,
    generator: torch.Generator,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    vocab: int = 30522,
    positions: int = 512,
    dropout: float = 0.1,
    weights: str | Path | None = None,
) -> Bert:
    """Build a BERT; the defaults are BERT-base.

    Parameters
    ----------
    generator : seeded; the only source of the first weights
    layers, hidden, heads : sizes; the inner layers are 4 * hidden wide
    vocab, positions : rows of the two tables of embeddings
    dropout : of states and of attention, in training
    weights : transformers folder, hub name, or file; pooler and heads of other tasks are left out

    Raises
    ------
    ValueError
        If the sizes do not go together, or the weights are of another architecture.
    """
    try:
        from transformers import BertConfig, BertModel
    except ImportError:
        raise ImportError("BERT needs transformers; install it with: pip install 'modest[media]'") from None
    if min(layers, hidden, heads) < 1 or vocab <= FIRST_WORD or hidden % heads:
        raise ValueError(
            f"layers={layers}, hidden={hidden}, heads={heads}, vocab={vocab} make no BERT; "
            f"give positive sizes, hidden a multiple of heads, vocab above {FIRST_WORD}."
        )
    config = BertConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=PAD,
    )
    body = built(lambda: BertModel(config, add_pooling_layer=False), generator, draw=weights is None)
    if weights is not None:
        place = located(weights)
        refuse_other(read_settings(place), {**USUAL, "num_attention_heads": heads}, weights)
        told = f"a BERT of {layers} layers, hidden {hidden}, vocab {vocab}"
        fill(body, renamed(read_state(place)), weights, told)
    return Bert(body, hidden)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names of ``BertModel``: without ``bert.``, ``gamma`` and ``beta`` of old files renamed."""
    bare = {name.removeprefix("bert."): tensor for name, tensor in state.items()}
    kept = {name: tensor for name, tensor in bare.items() if not name.startswith(DROPPED)}
    return {re.sub(r"gamma$", "weight", re.sub(r"beta$", "bias", name)): tensor for name, tensor in kept.items()}


def hashed_tokens(text: str, length: int, vocab: int, grams: int = 0, ends: bool = True) -> NDArray[np.int64]:
    """(length,) int64: [CLS], one number per word or punctuation mark, [SEP], then 0; what is too long is cut.

    Words are compared after Unicode NFKC and case folding. Their numbers come from a stable hash, so that no
    vocabulary is stored and the same text has the same tokens everywhere.

    Parameters
    ----------
    grams : int
        Above 0, each word longer than ``grams`` is followed by its character n-grams of that length, so that words
        spelt alike share tokens.
    ends : bool
        Whether there are [CLS] and [SEP].

    Examples
    --------
    >>> hashed_tokens("Red shoes", 6, 1000).tolist() == hashed_tokens("red  SHOES", 6, 1000).tolist()
    True
    """
    found: list[str] = []
    room, first = (length - 2, 1) if ends else (length, 0)
    for word in re.findall(r"\w+|[^\w\s]", unicodedata.normalize("NFKC", text).casefold()):
        found.append(word)
        if 0 < grams < len(word):
            found += [f"#{word[at : at + grams]}" for at in range(len(word) - grams + 1)]
        if len(found) >= room:
            break
    row = np.full(length, PAD, dtype=np.int64)
    found = found[:room]
    if ends:
        row[0], row[len(found) + 1] = CLS, SEP
    if found:
        codes = keys(found, seed=0, stream="bert") % np.uint64(vocab - FIRST_WORD)
        row[first : len(found) + first] = codes.astype(np.int64) + FIRST_WORD
    return row


def tokenizer_place(tokenizer: str, weights: str | Path | None) -> str:
    """``hashed``, or the folder or hub name a tokenizer is read from; ``auto`` is that of the weights.

    Raises
    ------
    ValueError
        If the weights come without a tokenizer and none is named.
    """
    if tokenizer != "auto":
        return tokenizer
    if weights is None:
        return HASHED
    place = located(weights)
    if not any((place / name).is_file() for name in VOCABULARIES):
        raise ValueError(
            f"weights={str(weights)!r} come without a tokenizer ({' or '.join(VOCABULARIES)}); "
            f"name its folder: tokenizer=..., or tokenizer={HASHED!r} for hashed words."
        )
    return str(weights)


def tokens(
    tokenizer: str, length: int, vocab: int, grams: int = 0, ends: bool = True
) -> Callable[[str], NDArray[np.int64]]:
    """Return the function text -> (length,) int64 of a tokenizer.

    Parameters
    ----------
    tokenizer : ``hashed``, or a folder or hub name with a BERT tokenizer
    length : tokens kept, with [CLS] and [SEP] where there are ``ends``
    vocab : rows of the network's table
    grams, ends : of :func:`hashed_tokens`

    Raises
    ------
    ValueError
        If ``length`` is below 3, the tokenizer cannot be read, is larger than the table, or pads with another number.
    """
    if ends and length < 3:
        raise ValueError(f"length={length} leaves no room for a word between [CLS] and [SEP]; give at least 3.")
    if tokenizer == HASHED:
        return lambda text: hashed_tokens(text, length, vocab, grams, ends)
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise ImportError("a tokenizer needs transformers; install it with: pip install 'modest[media]'") from None
    place = located(tokenizer)
    try:
        reader: Any = AutoTokenizer.from_pretrained(str(place), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"tokenizer={tokenizer!r} cannot be read; give the folder of a BERT tokenizer.") from error
    if len(reader) > vocab or reader.pad_token_id != PAD:
        raise ValueError(
            f"tokenizer={tokenizer!r} has {len(reader)} tokens and pads with {reader.pad_token_id}, but the encoder "
            f"has vocab={vocab} and pads with {PAD}; give the tokenizer of the weights."
        )

    def read(text: str) -> NDArray[np.int64]:
        told = {"padding": "max_length", "max_length": length, "truncation": True, "add_special_tokens": ends}
        row = reader(text, **told)["input_ids"]
        return np.asarray(row, dtype=np.int64)

    return read
