"""``hf:`` on tiny random models, one per family, saved here and loaded without a network."""

import hashlib
import shutil

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

transformers = pytest.importorskip("transformers")

from modest.encoders import load  # noqa: E402

TINY = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZE = {"height": 16, "width": 16}
PATCHES = {**TINY, "image_size": 16, "patch_size": 8}
TEXT = {
    **TINY,
    "vocab_size": 40,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
ENDINGS = {"image": "png", "audio": "wav", "video": "mp4"}


def tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {word: k for k, word in enumerate(["<pad>", "<unk>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyz"])}
    tok = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tok, **names).save_pretrained(folder)


def clip(folder):
    config = transformers.CLIPConfig(text_config=TEXT, vision_config=PATCHES, projection_dim=12)
    tokenizer(folder)
    transformers.CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=SIZE).save_pretrained(folder)
    return transformers.CLIPModel(config)


def siglip(folder):
    config = transformers.SiglipConfig(text_config=TEXT, vision_config=PATCHES)
    tokenizer(folder)
    transformers.SiglipImageProcessorPil(size=SIZE).save_pretrained(folder)
    return transformers.SiglipModel(config)


def bert(folder):
    tokenizer(folder)
    return transformers.BertForMaskedLM(transformers.BertConfig(**TEXT))  # has no pooler, as published ones may


def vit(folder):
    transformers.ViTImageProcessorPil(size=SIZE).save_pretrained(folder)
    return transformers.ViTForImageClassification(transformers.ViTConfig(**PATCHES))


def dinov2(folder):
    transformers.BitImageProcessorPil(size={"shortest_edge": 16}, crop_size=SIZE).save_pretrained(folder)
    return transformers.Dinov2Model(transformers.Dinov2Config(**PATCHES))


def resnet(folder):
    transformers.ConvNextImageProcessorPil(size={"shortest_edge": 16}, crop_pct=1.0).save_pretrained(folder)
    knobs = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic"}
    return transformers.ResNetForImageClassification(transformers.ResNetConfig(**knobs))


def wav2vec2(folder):
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    convolutions = {"conv_dim": (8, 8), "conv_stride": (20, 16), "conv_kernel": (20, 16), "num_feat_extract_layers": 2}
    more = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    return transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**TINY, **convolutions, **more))


def ast(folder):
    transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=32).save_pretrained(folder)
    config = transformers.ASTConfig(**TINY, patch_size=8, num_mel_bins=16, max_length=32)
    return transformers.ASTForAudioClassification(config)


def clap(folder):
    knobs = {"spec_size": 64, "num_mel_bins": 16, "patch_size": 4, "patch_embeds_hidden_size": 8, "depths": [1, 1]}
    more = {"num_attention_heads": [2, 2], "hidden_size": 16, "window_size": 2, "enable_fusion": True}
    transformers.ClapFeatureExtractor(
        feature_size=16, sampling_rate=8000, max_length_s=2, hop_length=80
    ).save_pretrained(folder)
    tokenizer(folder)
    text = {**TEXT, "max_position_embeddings": 18, "projection_dim": 12}
    audio = {**knobs, **more, "projection_dim": 12}
    return transformers.ClapModel(transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=12))


def videomae(folder):
    transformers.VideoMAEImageProcessorPil(size={"shortest_edge": 16}, crop_size=SIZE).save_pretrained(folder)
    config = transformers.VideoMAEConfig(**PATCHES, num_frames=4, tubelet_size=2)
    return transformers.VideoMAEForVideoClassification(config)


FAMILIES = {f.__name__: f for f in (clip, siglip, bert, vit, dinov2, resnet, wav2vec2, ast, clap, videomae)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folder of a tiny model of a family, made on first use."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            with torch.random.fork_rng():
                FAMILIES[name](made[name]).save_pretrained(made[name])
        return made[name]

    return get


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """Three raw values of each kind, of different sizes and lengths."""
    import av

    folder = tmp_path_factory.mktemp("media")
    draw = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(draw.integers(0, 256, (20 + k, 30, 3), dtype=np.uint8)).save(folder / f"{k}.png")
        soundfile.write(folder / f"{k}.wav", 0.1 * draw.normal(size=(9000, 20000, 9000)[k]), 16000)
        with av.open(str(folder / f"{k}.mp4"), "w") as box:
            stream = box.add_stream("mpeg4", rate=10)
            stream.width = stream.height = 32
            for _ in range(6 + k):
                picture = draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                box.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            box.mux(stream.encode())
    found = {kind: [str(folder / f"{k}.{ending}") for k in range(3)] for kind, ending in ENDINGS.items()}
    return {**found, "text": ["a b", "c d e f g h i", " ".join("abcdefghijklmnopqrstuvwxyz")]}


CASES = [
    ("clip", "image", 12), ("clip", "text", 12), ("siglip", "image", 16), ("siglip", "text", 16), ("bert", "text", 16),
    ("vit", "image", 16), ("dinov2", "image", 16), ("resnet", "image", 8), ("wav2vec2", "audio", 16),
    ("ast", "audio", 16), ("clap", "audio", 12), ("clap", "text", 12), ("videomae", "video", 16),
]  # fmt: skip


@pytest.mark.parametrize(("family", "kind", "dim"), CASES)
def test_alone_is_as_in_a_batch_and_loading_again_is_the_same(models, values, family, kind, dim):
    folder = models(family)
    encoder = load(f"hf:{folder}", kind, "cpu")
    column = values[kind]
    found = encoder.encode(column)
    assert (encoder.kind, encoder.dim, found.shape) == (kind, dim, (3, dim))
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 1e-3
    alone = np.concatenate([encoder.encode([value]) for value in column])
    assert np.allclose(found, alone, atol=1e-5)
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert encoder.revision == f"sha256:{weights}"
    again = load(f"hf:{folder}", kind, "cpu")
    assert again.preprocessing_hash == encoder.preprocessing_hash
    assert np.array_equal(again.encode(column), found)


def test_clip_features_are_those_of_the_model(models, values):
    folder = models("clip")
    net = transformers.CLIPModel.from_pretrained(folder).eval()
    before = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    pixels = before(images=[Image.open(path) for path in values["image"]], return_tensors="pt")
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(values["text"][:2], padding=True, return_tensors="pt")
    with torch.inference_mode():
        answer = net(**pixels, **{key: tokens[key] for key in ("input_ids", "attention_mask")})
    for kind, expected, column in (
        ("image", answer.image_embeds, values["image"]),
        ("text", answer.text_embeds, values["text"][:2]),
    ):
        found = load(f"hf:{folder}", kind).encode(column)
        unit = found / np.linalg.norm(found, axis=1, keepdims=True)
        assert np.allclose(unit, expected.numpy(), atol=1e-5)


def test_bert_pools_the_mean_or_the_first_token(models):
    folder = models("bert")
    net = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)("a b c", return_tensors="pt")
    with torch.inference_mode():
        last = net(input_ids=tokens["input_ids"]).last_hidden_state[0].numpy()
    mean, cls = load(f"hf:{folder}"), load(f"hf:{folder}?pooling=cls")
    assert np.allclose(mean.encode(["a b c"])[0], last.mean(axis=0), atol=1e-5)
    assert np.allclose(cls.encode(["a b c"])[0], last[0], atol=1e-5)
    assert mean.preprocessing_hash != cls.preprocessing_hash
    assert mean.preprocessing["pooling"] == "mean"
    for query, told in (("pooling=max", "mean or cls"), ("size=3", "unknown to bert")):
        with pytest.raises(ValueError, match=told):
            load(f"hf:{folder}?{query}")


def test_sound_beyond_seconds_is_not_heard(models, tmp_path):
    draw = np.random.default_rng(1)
    wave = 0.1 * draw.normal(size=32000)
    soundfile.write(tmp_path / "long.wav", wave, 16000)
    soundfile.write(tmp_path / "short.wav", wave[:16000], 16000)
    soundfile.write(tmp_path / "click.wav", wave[:3], 16000)
    found = load(f"hf:{models('wav2vec2')}?seconds=1").encode(
        [str(tmp_path / f"{n}.wav") for n in ("long", "short", "click")]
    )
    assert np.allclose(found[0], found[1], atol=1e-5)
    assert np.isfinite(found[2]).all()


def test_clap_leaves_the_global_random_state_out_of_it(models, tmp_path):
    soundfile.write(tmp_path / "long.wav", 0.1 * np.random.default_rng(1).normal(size=8000 * 12), 8000)
    encoder = load(f"hf:{models('clap')}", "audio")
    first = encoder.encode([str(tmp_path / "long.wav")])
    net = transformers.ClapModel.from_pretrained(models("clap")).eval()
    sample = torch.from_numpy(encoder.read(str(tmp_path / "long.wav")))[None]
    with torch.inference_mode():  # a clip that is cut is not longer than what the model was made for
        expected = net.get_audio_features(input_features=sample, is_longer=torch.tensor([[False]])).pooler_output
    assert np.allclose(first, expected.numpy(), atol=1e-5)
    np.random.random(5)  # noqa: NPY002 - moves the state that CLAP's own cropping would use
    assert np.array_equal(encoder.encode([str(tmp_path / "long.wav")]), first)


def test_a_model_of_another_kind(models):
    with pytest.raises(ValueError, match=r"is a bert model, which reads text, not image; for image use one of clip"):
        load(f"hf:{models('bert')}", "image")


def test_folders_that_hold_no_such_model(models, tmp_path):
    cases = {
        "empty": "config.json is not there",
        "weightless": "model.safetensors is not there",
        "other": "another architecture than its config.json says",
        "cut": "cannot be loaded",
        "unknown": "cannot be loaded",
    }
    (tmp_path / "empty").mkdir()
    for name in list(cases)[1:]:
        shutil.copytree(models("vit"), tmp_path / name)
    (tmp_path / "weightless" / "model.safetensors").unlink()
    shutil.copy(models("bert") / "model.safetensors", tmp_path / "other")
    data = (models("vit") / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(data[: len(data) // 2])
    (tmp_path / "unknown" / "config.json").write_text('{"model_type": "nothing-like-it"}')
    for name, told in cases.items():
        with pytest.raises(ValueError, match=told) as error:
            load(f"hf:{tmp_path / name}", "image")
        assert "\n" not in str(error.value)
        assert str(tmp_path / name) in str(error.value)
    with pytest.raises(ValueError, match="no folder that is there"):
        load(f"hf:{tmp_path / 'nowhere'}", "image")
