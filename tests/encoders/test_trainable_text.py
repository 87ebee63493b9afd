"""BERT: hashed tokens, published tokenizers and names, padding that changes nothing, refusals."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM, BertModel

from modest.encoders.bert import hashed_tokens
from modest.encoders.trainable import build

SIZES = {"layers": 2, "hidden": 16, "heads": 2, "vocab": 9, "positions": 32, "length": 10}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "shoe", "##s"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def published(kind=BertModel):
    config = BertConfig(
        vocab_size=9,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng(devices=[]):
        return kind(config).eval()


@pytest.fixture
def folder(tmp_path):
    model = published(BertForMaskedLM)
    place = tmp_path / "bert"
    model.save_pretrained(place)
    (place / "vocab.txt").write_text("\n".join(WORDS))
    return place, model


def test_tokens_of_a_published_folder(folder):
    place, model = folder
    made = build("bert", generator=generator(), weights=place, **SIZES)
    row = made.reading.read("A red shoes, zzz")
    assert row.tolist() == [2, 5, 6, 7, 8, 1, 1, 3, 0, 0]
    long = made.reading.read("red " * 50)
    assert long.tolist() == [2, 6, 6, 6, 6, 6, 6, 6, 6, 3]
    assert made.config["tokenizer"] == str(place)
    x = torch.stack([made.reading.eval(row), made.reading.eval(long)])
    expected = model.bert(input_ids=x, attention_mask=(x != 0).long()).last_hidden_state[:, 0]
    assert torch.allclose(made.net.eval()(x), expected, atol=1e-6)


def test_old_names_of_norms_load(tmp_path):
    model = published()
    state = {f"bert.{n}".replace("LayerNorm.weight", "LayerNorm.gamma"): t for n, t in model.state_dict().items()}
    state = {n.replace("LayerNorm.bias", "LayerNorm.beta"): t.contiguous() for n, t in state.items()}
    state["cls.predictions.bias"] = torch.zeros(9)
    state["bert.embeddings.position_ids"] = torch.arange(32)[None]
    save_file(state, tmp_path / "w.safetensors")
    made = build("bert", generator=generator(), weights=tmp_path / "w.safetensors", tokenizer="hashed", **SIZES)
    x = torch.tensor([[2, 5, 6, 3, 0]])
    expected = model(input_ids=x, attention_mask=(x != 0).long()).last_hidden_state[:, 0]
    assert torch.allclose(made.net.eval()(x), expected, atol=1e-6)


def test_padding_changes_nothing():
    net = build("bert", generator=generator(), **SIZES).net.eval()
    short = torch.tensor([[1, 5, 6, 2]])
    padded = torch.nn.functional.pad(short, (0, 6))
    beside = torch.cat([padded, torch.tensor([[1, 3, 4, 5, 6, 7, 8, 3, 4, 2]])])
    assert torch.allclose(net(short), net(padded), atol=1e-6)
    assert torch.allclose(net(short)[0], net(beside)[0], atol=1e-5)
    assert not torch.allclose(net(short), net(torch.tensor([[1, 5, 7, 2]])), atol=1e-4)


def test_hashed_tokens_are_stable_framed_and_in_range():
    row = hashed_tokens("Red shoes, RED!", 10, 1000)
    assert row.dtype == np.int64
    assert row.tolist() == [1, 661, 16, 471, 661, 423, 2, 0, 0, 0]  # must never change: saved encoders rely on it
    assert hashed_tokens("", 5, 100).tolist() == [1, 2, 0, 0, 0]
    many = hashed_tokens(" ".join(f"w{i}" for i in range(5000)), 5002, 64)
    assert (many[0], many[-1]) == (1, 2)
    assert set(many[1:-1].tolist()) == set(range(3, 64))


def test_hashed_tokens_cut_after_the_length():
    row = hashed_tokens("a b c d e f", 5, 1000)
    assert (row[0], row[4]) == (1, 2)
    assert row[1:4].tolist() == hashed_tokens("a b c", 5, 1000)[1:4].tolist()
    long = hashed_tokens("chocolate cake", 5, 1000, grams=3)  # one word and its grams are too many already
    assert (long[0], long[4]) == (1, 2)
    assert long[1] == hashed_tokens("chocolate", 3, 1000)[1]


def test_character_grams_are_shared_by_words_spelt_alike():
    one, two = (set(hashed_tokens(word, 40, 10_000, grams=3).tolist()) for word in ("chocolate", "chocolates"))
    assert len(one & two - {0, 1, 2}) == 7
    one, two = (set(hashed_tokens(word, 40, 10_000).tolist()) for word in ("chocolate", "chocolates"))
    assert one & two == {0, 1, 2}


def refused(told, **knobs):
    with pytest.raises((ValueError, FileNotFoundError), match=told) as error:
        build("bert", generator=generator(), **{**SIZES, **knobs})
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_named(folder, tmp_path):
    place, model = folder
    refused(r"lacks encoder\.layer\.2\.attention", weights=place, layers=3)
    refused("its num_attention_heads is 2, this encoder's is 4", weights=place, heads=4)
    refused(r"shape \(9, 16\), the encoder's has \(20, 16\)", weights=place, vocab=20)
    save_file({n: t.contiguous().clone() for n, t in model.state_dict().items()}, tmp_path / "w.safetensors")
    refused("come without a tokenizer", weights=tmp_path / "w.safetensors")
    refused("has 9 tokens and pads with 0, but the encoder has vocab=8", tokenizer=str(place), vocab=8)
    refused("no file or folder here", tokenizer="/nowhere/at/all")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "model_type": "roberta"}))
    refused("its model_type is 'roberta'", weights=place, tokenizer="hashed")
