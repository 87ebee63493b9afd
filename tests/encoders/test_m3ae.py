"""M3AE: a slow oracle fed from the released names, padding, pooling, tokens, sizes as published, refusals."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modest.encoders.m3ae import M3AEImage, M3AEText, renamed
from modest.encoders.trainable import build
from tests.encoders.slow_vit import block, grid, norm, tanh_gelu, waves

LAYERS, D, HEADS, SIZE, PATCH, VOCAB, LENGTH = 2, 8, 2, 12, 4, 20, 6
IMAGE = {"layers": LAYERS, "hidden": D, "heads": HEADS, "size": SIZE, "patch": PATCH}
TEXT = {"layers": LAYERS, "hidden": D, "heads": HEADS, "vocab": VOCAB, "length": LENGTH, "tokenizer": "hashed"}
# port's name of a block's part -> Flax's, its shape
PARTS = {
    "layer_norm1": ("LayerNorm_0", None),
    "layer_norm2": ("LayerNorm_1", None),
    "attention.qkv_linear": ("Attention_0.Dense_0", (3 * D, D)),
    "attention.fc": ("Attention_0.Dense_1", (D, D)),
    "transformer_mlp.fc1": ("TransformerMLP_0.fc1", (4 * D, D)),
    "transformer_mlp.fc2": ("TransformerMLP_0.fc2", (D, 4 * D)),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(seed, *shape):
    return 0.5 * torch.randn(*shape, generator=generator(seed))


def port():
    """A state dict of both modalities under the names of the PyTorch port."""
    state = {
        "cls_token": drawn(1, 1, 1, D),
        "encoder_image_type_embedding": drawn(2, 1, 1, D),
        "encoder_text_type_embedding": drawn(3, 1, 1, D),
        "image_embedding.weight": drawn(4, D, 3 * PATCH * PATCH),
        "image_embedding.bias": drawn(5, D),
        "text_embedding.weight": drawn(6, VOCAB, D),
        "encoder.layer_norm.weight": 1 + drawn(7, D),
        "encoder.layer_norm.bias": drawn(8, D),
    }
    for b in range(LAYERS):
        for k, (part, (_, shape)) in enumerate(PARTS.items()):
            state[f"encoder.blocks.{b}.{part}.weight"] = drawn(100 * b + k + 10, *(shape or (D,)))
            state[f"encoder.blocks.{b}.{part}.bias"] = drawn(100 * b + k + 50, (shape or (D,))[0])
    return state


def flax():
    """The same as the JAX release names it, kernels transposed, with a decoder and masks that are not needed."""
    state = {"decoder.Block_0.LayerNorm_0.scale": torch.ones(4), "image_mask_embedding": torch.ones(1, 1, 4)}
    state |= {"decoder_image_output.Dense_0.kernel": torch.ones(4, 4), "text_mask_embedding": torch.ones(1, 1, 4)}
    for name, tensor in port().items():
        for b in range(LAYERS):
            name = name.replace(f"encoder.blocks.{b}.", f"encoder.Block_{b}.")
        for ours, (theirs, _) in PARTS.items():
            name = name.replace(f".{ours}.", f".{theirs}.")
        name = name.replace("encoder.layer_norm.", "encoder.LayerNorm_0.")
        if name.endswith(".weight"):
            leaf = "scale" if tensor.ndim == 1 else ("embedding" if name.startswith("text") else "kernel")
            name = name.removesuffix("weight") + leaf
            tensor = tensor.T.contiguous() if leaf == "kernel" else tensor
        state[name] = tensor
    return state


def states(state, tokens, there):
    """z_L of embedded tokens (n, D), [CLS] put before them."""
    w = {name: tensor.double().numpy() for name, tensor in state.items()}
    x = np.concatenate([w["cls_token"][0], tokens])
    there = [True, *there]
    ours = {"norm1": "layer_norm1", "norm2": "layer_norm2", "qkv": "attention.qkv_linear", "proj": "attention.fc"}
    ours |= {"fc1": "transformer_mlp.fc1", "fc2": "transformer_mlp.fc2"}
    for b in range(LAYERS):
        at = f"encoder.blocks.{b}"
        part = {k: (w[f"{at}.{name}.weight"], w[f"{at}.{name}.bias"]) for k, name in ours.items()}
        x = block(x, part, HEADS, there, 1e-6, tanh_gelu)
    return np.array([norm(t, w["encoder.layer_norm.weight"], w["encoder.layer_norm.bias"], 1e-6) for t in x])


def of_picture(state, picture, order):
    tokens, side = [], SIZE // PATCH
    for row in range(side):
        for column in range(side):
            flat = []
            if order == "pixels":
                for i in range(PATCH):
                    for j in range(PATCH):
                        flat += [picture[c, row * PATCH + i, column * PATCH + j] for c in range(3)]
            else:
                for c in range(3):
                    flat += picture[c, row * PATCH :, column * PATCH :][:PATCH, :PATCH].flatten().tolist()
            tokens.append(state["image_embedding.weight"].double().numpy() @ np.array(flat))
    tokens = np.array(tokens) + state["image_embedding.bias"].numpy() + grid(side, side, D)
    return states(state, tokens + state["encoder_image_type_embedding"].numpy()[0], [True] * side**2).mean(axis=0)


def of_text(state, row, pooling):
    table = state["text_embedding.weight"].double().numpy()
    tokens = np.array([table[t] + waves(p, D) for p, t in enumerate(row)])
    there = [t != 0 for t in row]
    z = states(state, tokens + state["encoder_text_type_embedding"].numpy()[0], there)
    return z.mean(axis=0) if pooling == "all" else z[[True, *there]].mean(axis=0)


@pytest.fixture(scope="module", params=["port", "flax", "slashes"])
def weights(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("m3ae") / "m3ae.safetensors"
    state = port() if request.param == "port" else flax()
    if request.param == "slashes":
        state = {f"params/{name.replace('.', '/')}": tensor for name, tensor in state.items()}
    save_file(state, place)
    return place


@pytest.mark.parametrize("order", ["pixels", "channels"])
def test_pictures_are_what_the_slow_one_says(weights, order):
    net = build("m3ae_image", generator=generator(), weights=weights, order=order, **IMAGE).net
    x = drawn(9, 2, 3, SIZE, SIZE)
    expected = [of_picture(port(), picture, order) for picture in x.double().numpy()]
    np.testing.assert_allclose(net(x).detach().numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("pooling", ["all", "present"])
def test_texts_are_what_the_slow_one_says(weights, pooling):
    net = build("m3ae_text", generator=generator(), weights=weights, pooling=pooling, **TEXT).net
    x = torch.tensor([[4, 9, 2, 0, 0, 0], [1, 2, 3, 4, 5, 6], [7, 0, 0, 0, 0, 0]])
    expected = [of_text(port(), row, pooling) for row in x.tolist()]
    np.testing.assert_allclose(net(x).detach().numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("side", ["image", "text"])
def test_a_state_dict_goes_out_and_comes_back_under_the_released_names(weights, side):
    knobs = {"image": IMAGE, "text": TEXT}[side]
    net = build(f"m3ae_{side}", generator=generator(), weights=weights, **knobs).net
    own, back = net.state_dict(), renamed(port(), side)
    assert set(own) == set(back)
    assert all(torch.equal(own[name], back[name]) for name in own)
    # every released name of this side is used once, and nothing else
    other = {"image": "text", "text": "image"}[side]
    assert len(own) == len([name for name in port() if f"{other}_" not in name])


def test_padding_counts_in_the_mean_of_all_and_not_in_that_of_the_present():
    x = torch.tensor([[4, 9, 2, 0, 0, 0]])
    longer = torch.tensor([[4, 9, 2, 0, 0, 0], [1, 2, 3, 4, 5, 6]])
    for pooling in ("all", "present"):
        net = build("m3ae_text", generator=generator(), pooling=pooling, **TEXT).net
        assert torch.allclose(net(x)[0], net(longer)[0], atol=1e-6)  # whatever stands beside it in the batch
        cut = torch.allclose(net(x[:, :3])[0], net(x)[0], atol=1e-6)
        assert cut == (pooling == "present")
        net(x).square().sum().backward()
        padding = net.embedding.weight.grad[0]
        assert bool(padding.any()) == (pooling == "all")
        assert net.embedding.weight.grad[[4, 9, 2]].abs().sum(dim=1).min() > 0
        assert not net.embedding.weight.grad[[1, 3, 5]].any()


def test_nobody_looks_at_padding():
    """What stands in the word of number 0 reaches the features of "present" by no way."""
    net = build("m3ae_text", generator=generator(), pooling="present", **TEXT).net
    x = torch.tensor([[4, 9, 2, 0, 0, 0], [1, 2, 3, 4, 5, 6]])
    before = net(x)
    with torch.no_grad():
        net.embedding.weight[0] += 100
    assert torch.equal(net(x), before)


def test_an_empty_row_is_only_its_cls():
    for pooling in ("all", "present"):
        net = build("m3ae_text", generator=generator(), pooling=pooling, **TEXT).net
        assert torch.isfinite(net(torch.zeros(2, LENGTH, dtype=torch.int64))).all()


def test_texts_have_no_ends_of_their_own_and_are_cut():
    reading = build("m3ae_text", generator=generator(), **TEXT).reading
    row = reading.read("red shoe")
    assert (row[:2] > 2).all()
    assert row[2:].tolist() == [0] * 4
    assert (reading.read("one two three four five six seven eight") > 2).all()
    one = build("m3ae_text", generator=generator(), **{**TEXT, "length": 1}).reading
    assert one.read("red shoe").tolist() == row[:1].tolist()


def test_a_published_tokenizer_is_read_without_its_ends(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "shoe"]))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    reading = build("m3ae_text", generator=generator(), **{**TEXT, "tokenizer": str(tmp_path)}).reading
    assert reading.read("Red shoe").tolist() == [5, 6, 0, 0, 0, 0]
    assert reading.read("red " * 9).tolist() == [5] * 6


def test_first_weights():
    """Words have deviation 1, [CLS] and type 0.02: the sines they stand beside have deviation 0.7."""
    net = build("m3ae_text", generator=generator(), **{**TEXT, "vocab": 2000, "hidden": 64}).net
    assert net.embedding.weight.std().item() == pytest.approx(1, abs=0.02)
    for vector in (net.cls_token, net.type_embedding):
        assert 0.01 < vector.std().item() < 0.03
    assert net.blocks[0].attn.qkv.weight.std().item() == pytest.approx(0.0176, abs=2e-3)  # 0.02, cut at two


def test_published_sizes_without_memory():
    with torch.device("meta"):
        image = M3AEImage(12, 768, 12, 256, 16, "pixels")
        text = M3AEText(12, 768, 12, 30522, 256, "all")
    assert sum(p.numel() for p in image.parameters()) == 12 * 7_087_872 + 1536 + 1536 + 768 * 768 + 768 == 85_648_128
    assert sum(p.numel() for p in text.parameters()) == 12 * 7_087_872 + 1536 + 1536 + 30522 * 768 == 108_498_432
    assert image.get_buffer("places").shape == text.get_buffer("places").shape == (256, 768)
    assert "places" not in image.state_dict()


def test_weights_of_another_size_are_refused(weights):
    with pytest.raises(ValueError, match="does not fit an M3AE of 2 layers, hidden 8, patch 2"):
        build("m3ae_image", generator=generator(), weights=weights, **{**IMAGE, "patch": 2})
    with pytest.raises(ValueError, match=r"lacks blocks\.2\."):
        build("m3ae_image", generator=generator(), weights=weights, **{**IMAGE, "layers": 3})
    with pytest.raises(ValueError, match="come without a tokenizer"):
        build("m3ae_text", generator=generator(), weights=weights, **{**TEXT, "tokenizer": "auto"})


def test_a_pickle_is_not_opened(tmp_path):
    place = tmp_path / "m3ae_base.pkl"
    place.write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="is no weights file"):
        build("m3ae_image", generator=generator(), weights=place, **IMAGE)


def test_the_middle_frame_of_a_clip(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for level in (20, 60, 100, 140, 180):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level, dtype=np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    made = build("m3ae_image", generator=generator(), clip=True, mean=[0, 0, 0], std=[1, 1, 1], **IMAGE)
    pixels = made.reading.read(str(tmp_path / "a.mp4"))
    assert pixels.shape == (24, 36, 3)
    assert made.reading.kind == "video"
    assert torch.allclose(made.reading.eval(pixels), torch.tensor(100 / 255), atol=0.02)
