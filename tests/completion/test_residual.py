"""Cascades of autoencoders: the vectors of three papers, a slow loop, first weights."""

import numpy as np
import pytest
import torch
from torch import nn

from modest.completion.residual import Cascade, chain

DOUBLE = torch.float64


def cascade(width=6, layers=(5, 2), blocks=3, seed=0):
    return Cascade(width, layers, blocks, torch.Generator().manual_seed(seed), DOUBLE)


def vectors(shared, name):
    with np.load(shared / "reference" / "learning" / f"{name}.npz") as archive:
        return {key: torch.from_numpy(archive[key]) for key in archive.files}


def part(found, prefix):
    """Weights of one part of the release, by the names this part gives them."""
    return {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}


def given(found, prefix="w.AE."):
    """A cascade that carries the weights of the vectors."""
    net = Cascade(
        found["embedding"].shape[1], found["ae_layers"].tolist(), int(found["n_blocks"]), torch.Generator(), DOUBLE
    )
    net.load_state_dict(part(found, prefix))
    return net


@pytest.mark.parametrize(
    ("name", "prefix", "read", "imagined", "latent"),
    [
        ("cra", "w.AE.", "embedding", "reconstruction", "latent"),
        ("mmin", "w.AE.", "embedding", "imagined", "latent"),
        ("mmin", "w.AE_cycle.", "imagined", "cycled", "latent_cycle"),
        ("ifmmin", "w.AE.", "embedding", "imagined", "latent"),
    ],
)
def test_vectors(shared, name, prefix, read, imagined, latent):
    found = vectors(shared, name)
    with torch.no_grad():
        output, code = given(found, prefix)(found[read], found.get("invariant"))
    np.testing.assert_allclose(output, found[imagined], rtol=0, atol=1e-8)
    np.testing.assert_allclose(code, found[latent], rtol=0, atol=1e-8)


def by_hand(net, h, invariant):
    """One row, layer by layer, with the equations of the docstring."""
    weights = {name: value.detach().numpy() for name, value in net.named_parameters()}

    def run(name, x, slope, count):
        for place in range(count):
            x = weights[f"{name}.{2 * place}.weight"] @ x + weights[f"{name}.{2 * place}.bias"]
            if place < count - 1:
                x = np.where(x > 0, x, slope * x)
        return x

    codes, outputs = [], []
    for k in range(net.blocks):
        before = h + sum(outputs) if invariant is None else (outputs[-1] if outputs else h) + invariant
        codes.append(run(f"encoder_{k}", before, 0.01, 2))
        outputs.append(run(f"decoder_{k}", codes[-1], 0.0, 2))
    last = h + sum(outputs) if invariant is None else outputs[-1]
    return run("transition", last, 0.0, 2), np.concatenate(codes)


@pytest.mark.parametrize("with_invariant", [False, True])
def test_every_row_is_its_equations(with_invariant):
    rng, net = np.random.default_rng(0), cascade()
    h = rng.normal(size=(4, 6))
    H = rng.normal(size=(4, 6)) if with_invariant else None
    output, code = net(torch.from_numpy(h), None if H is None else torch.from_numpy(H))
    for i in range(4):
        expected = by_hand(net, h[i], None if H is None else H[i])
        np.testing.assert_allclose(output[i].detach(), expected[0], atol=1e-12)
        np.testing.assert_allclose(code[i].detach(), expected[1], atol=1e-12)


def test_the_two_forms_differ_also_where_the_invariant_is_zero():
    h = torch.randn(4, 6, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    net = cascade()
    assert (net(h)[0] - net(h, torch.zeros_like(h))[0]).abs().max() > 1e-3


def test_first_weights_come_from_the_generator_alone():
    torch.manual_seed(0)
    first = cascade(seed=5).state_dict()
    torch.manual_seed(1)
    again, other = cascade(seed=5).state_dict(), cascade(seed=6).state_dict()
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert not torch.equal(value, other[name])
        assert value.dtype == DOUBLE
    assert first["encoder_0.0.weight"].shape == (5, 6)
    assert first["decoder_2.2.weight"].shape == (6, 5)


def test_a_chain_ends_as_it_is_told():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 4, generator=generator)
    plain = chain((4, 3, 2), generator)
    assert (plain(x) < 0).any()
    ended = chain((4, 3, 2), generator, end=nn.ReLU)
    ended.load_state_dict(plain.state_dict())
    torch.testing.assert_close(ended(x), plain(x).relu())
    leaky = chain((4, 3, 2), generator, between=nn.LeakyReLU)
    leaky.load_state_dict(plain.state_dict())
    inner = plain[0](x)
    torch.testing.assert_close(leaky(x), plain[2](torch.where(inner > 0, inner, 0.01 * inner)))
