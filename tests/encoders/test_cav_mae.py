"""CAV-MAE's audio branch: a slow oracle fed from the released names, its reading, its size as published, refusals."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modest.encoders.augment import covered
from modest.encoders.cav_mae import CavMaeAudio, renamed
from modest.encoders.fbank import fbank, fitted
from modest.encoders.trainable import build
from tests.encoders.slow_vit import block, exact_gelu, grid, norm

LAYERS, SHARED, D, HEADS, PATCH, MELS, FRAMES = 3, 1, 8, 2, 4, 8, 12
SIZES = {"layers": LAYERS, "shared": SHARED, "hidden": D, "heads": HEADS, "patch": PATCH, "mels": MELS}
SIZES["frames"] = FRAMES
N = (MELS // PATCH) * (FRAMES // PATCH)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(seed, *shape):
    return 0.5 * torch.randn(*shape, generator=generator(seed))


def released():
    """A state dict as CAVMAEFT writes it under DataParallel: both modalities, all norms, a classifier."""
    block = {"attn.qkv": (3 * D, D), "attn.proj": (D, D), "mlp.fc1": (4 * D, D), "mlp.fc2": (D, 4 * D)}
    block |= {f"norm{k}{end}": (D,) for k in (1, 2) for end in ("", "_a", "_v")}
    places = [f"blocks_{m}.{b}" for m in "av" for b in range(LAYERS - SHARED)]
    places += [f"blocks_u.{b}" for b in range(SHARED)]
    layers = {f"{place}.{part}": shape for place in places for part, shape in block.items()}
    layers |= {"norm": (D,), "norm_a": (D,), "norm_v": (D,), "mlp_head.1": (5, D)}
    layers |= {"patch_embed_a.proj": (D, 1, PATCH, PATCH), "patch_embed_v.proj": (D, 3, PATCH, PATCH)}
    state = {}
    for k, (name, shape) in enumerate(layers.items()):
        state[f"{name}.weight"] = drawn(k + 10, *shape)
        state[f"{name}.bias"] = drawn(k + 500, shape[0])
    state |= {"modality_a": drawn(5, 1, 1, D), "modality_v": drawn(6, 1, 1, D)}
    state |= {"pos_embed_a": drawn(7, 1, N, D), "pos_embed_v": drawn(8, 1, 9, D)}
    state |= {"decoder_pos_embed_a": drawn(9, 1, N, 4), "decoder_modality_a": drawn(9, 1, 1, 4)}
    state |= {"mask_token": drawn(9, 1, 1, 4), "decoder_blocks.0.norm1.weight": drawn(9, 4)}
    return {f"module.{name}": tensor for name, tensor in state.items()}


def slow(state, bands):
    """Features of one (mels, frames) filterbank, from the released names."""
    w = {name.removeprefix("module."): tensor.double().numpy() for name, tensor in state.items()}
    tokens = []
    for row in range(MELS // PATCH):
        for column in range(FRAMES // PATCH):
            patch = bands[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            tokens.append(
                (w["patch_embed_a.proj.weight"][:, 0] * patch).sum(axis=(1, 2)) + w["patch_embed_a.proj.bias"]
            )
    x = np.array(tokens) + w["pos_embed_a"][0] + w["modality_a"][0]
    order = [(f"blocks_a.{b}", "") for b in range(LAYERS - SHARED)] + [(f"blocks_u.{b}", "_a") for b in range(SHARED)]
    for at, end in order:
        names = {"norm1": f"norm1{end}", "norm2": f"norm2{end}", "qkv": "attn.qkv", "proj": "attn.proj"}
        names |= {"fc1": "mlp.fc1", "fc2": "mlp.fc2"}
        part = {k: (w[f"{at}.{name}.weight"], w[f"{at}.{name}.bias"]) for k, name in names.items()}
        x = block(x, part, HEADS, [True] * N, 1e-5, exact_gelu)
    return np.array([norm(t, w["norm_a.weight"], w["norm_a.bias"], 1e-5) for t in x]).mean(axis=0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    place = tmp_path_factory.mktemp("cav") / "cavmae-audio.safetensors"
    save_file(released(), place)
    return place


def test_it_is_what_the_slow_one_says(weights):
    net = build("cavmae_audio", generator=generator(), weights=weights, **SIZES).net
    x = drawn(11, 2, 1, MELS, FRAMES)
    expected = [slow(released(), bands[0]) for bands in x.double().numpy()]
    np.testing.assert_allclose(net(x).detach().numpy(), expected, atol=2e-5)


def test_a_state_dict_goes_out_and_comes_back_under_the_released_names(weights):
    net = build("cavmae_audio", generator=generator(), weights=weights, **SIZES).net
    own, back = net.state_dict(), renamed(released(), LAYERS - SHARED)
    assert set(own) == set(back)
    assert all(torch.equal(own[name], back[name]) for name in own)
    assert len(own) == 12 * LAYERS + 2 + 2 + 1 + 1  # 6 parts of a block; norm, patches, places, modality
    taken = {tuple(t.flatten().tolist()) for t in own.values()}
    last = released()[f"module.blocks_u.{SHARED - 1}.norm1_a.weight"]
    assert tuple(last.flatten().tolist()) in taken
    assert tuple(released()["module.blocks_u.0.norm1.weight"].tolist()) not in taken


def test_weights_of_another_size_are_refused(weights):
    with pytest.raises(ValueError, match=r"lacks blocks\.2\."):
        build("cavmae_audio", generator=generator(), weights=weights, **{**SIZES, "layers": 4})
    with pytest.raises(ValueError, match="positions has shape"):
        build("cavmae_audio", generator=generator(), weights=weights, **{**SIZES, "frames": 16})
    with pytest.raises(ValueError, match="3 layers, 1 of them shared, hidden 8, 8 x 12 by 2"):
        build("cavmae_audio", generator=generator(), weights=weights, **{**SIZES, "patch": 2})


def test_an_unknown_tensor_is_refused(tmp_path):
    save_file({**released(), "module.extra.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"it has extra\.weight"):
        build("cavmae_audio", generator=generator(), weights=tmp_path / "w.safetensors", **SIZES)


def test_first_places_are_the_sines_of_row_and_column_and_are_trained():
    net = build("cavmae_audio", generator=generator(), **SIZES).net
    np.testing.assert_allclose(net.positions[0].detach().numpy(), grid(MELS // PATCH, FRAMES // PATCH, D), atol=1e-6)
    net(drawn(3, 2, 1, MELS, FRAMES)).square().sum().backward()
    assert net.positions.grad.abs().sum() > 0
    bound = (6 / (D + PATCH * PATCH)) ** 0.5  # Glorot
    assert net.patches.weight.abs().max() <= bound
    assert net.patches.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_published_size_without_memory():
    with torch.device("meta"):
        net = CavMaeAudio(12, 768, 12, 16, 128, 1024)
    assert net.positions.shape == (1, 512, 768)
    places_and_patches = 512 * 768 + 768 + 256 * 768 + 768
    assert sum(p.numel() for p in net.parameters()) == 12 * 7_087_872 + 1536 + places_and_patches == 85_647_360


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    soundfile = pytest.importorskip("soundfile")
    place = tmp_path_factory.mktemp("sound") / "a.wav"
    soundfile.write(place, 0.3 * np.sin(np.arange(4000) * 0.4), 16000, subtype="FLOAT")
    return str(place)


@pytest.mark.parametrize("name", ["cavmae_audio", "audio_resnet18"])
def test_its_reading_is_the_filterbank(name, tone):
    more = {"cavmae_audio": SIZES, "audio_resnet18": {"depth": [1], "width": 0.1, "features": "fbank"}}[name]
    made = build(name, generator=generator(), **{**more, "mels": 16, "frames": 32})
    assert made.reading.shape == (1, 16, 32)
    bands = made.reading.read(tone)
    assert bands.shape == (23, 16)  # 1 + (4000 - 400) // 160: kept as long as the sound is
    wave = np.float32(0.3 * np.sin(np.arange(4000) * 0.4))
    expected = fitted(fbank(wave, mels=16), 32, -5.081, 4.4849)
    assert torch.allclose(made.reading.eval(bands), expected, atol=1e-2)
    assert torch.allclose(made.reading.eval(bands)[0, :, 23:], torch.tensor(5.081 / 4.4849), atol=1e-6)
    assert made.net(made.reading.eval(bands)[None]).shape == (1, made.width)
    assert (made.config["mean"], made.config["std"]) == (-5.081, 4.4849)


def test_sound_beyond_the_frames_is_not_even_kept(tone):
    made = build("cavmae_audio", generator=generator(), **{**SIZES, "mels": 16, "frames": 8})
    assert made.reading.read(tone).shape == (8, 16)


def test_covering_sets_some_bands_and_frames_to_zero_and_leaves_the_rest():
    bands = np.ones((20, 10), dtype=np.float32)
    shapes, ends = set(), np.zeros(4, dtype=bool)
    for seed in range(100):
        out = covered(bands, np.random.default_rng(seed), (4, 6))
        gone = out == 0
        columns, rows = gone.all(axis=0), gone.all(axis=1)
        assert np.array_equal(gone, columns[None, :] | rows[:, None])
        for line in (columns, rows):
            where = np.flatnonzero(line)
            assert len(where) == 0 or np.array_equal(where, np.arange(where[0], where[-1] + 1))
        assert columns.sum() < 4
        assert rows.sum() < 6
        ends |= [columns[0], columns[-1], rows[0], rows[-1]]
        shapes.add((int(columns.sum()), int(rows.sum())))
    assert len(shapes) > 10
    assert ends.all()  # every place can be covered, the first and the last too
    assert (bands == 1).all()
    assert np.array_equal(covered(bands, np.random.default_rng(0), (0, 0)), bands)
