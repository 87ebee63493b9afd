"""The cascaded residual autoencoder: its vectors with all gradients, and its cascade; the rest in test_ae.py."""

import pytest
import torch

from modest.completion.residual import Cascade
from tests.completion.test_ae import DOUBLE, check_vectors
from tests.completion.test_completions import build
from tests.completion.test_residual import vectors


def test_vectors(shared):
    found = vectors(shared, "cra")
    layers, blocks = found["ae_layers"].tolist(), int(found["n_blocks"])
    check_vectors(found, Cascade(15, layers, blocks, torch.Generator(), DOUBLE))


def test_the_body_is_a_cascade_of_so_many_blocks():
    assert build("cra").imagination.body.blocks == 2
    body = build("cra", {"blocks": 4, "layers": (2.0, 1.0)}).imagination.body
    names = {name.split(".")[0] for name, _ in body.named_parameters()}
    assert names == {"transition", *(f"{kind}_{k}" for kind in ("encoder", "decoder") for k in range(4))}
    with pytest.raises(ValueError, match=r"options\['blocks'\]"):
        build("cra", {"blocks": 0})
