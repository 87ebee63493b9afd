"""The five two-tower models of the paper's figures, on small random configurations of the same architectures."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

import modest
from modest.representation import MODELS, finetune, two_towers
from modest.training import Plan, weights_hash

transformers = pytest.importorskip("transformers")

from modest.encoders import load  # noqa: E402
from modest.encoders.trainable import build  # noqa: E402
from modest.encoders.two_towers import family  # noqa: E402
from tests.encoders.test_frozen_huggingface import TEXT, tokenizer  # noqa: E402

TINY = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
# name -> layers, patch, side of the picture, width of the space (CLIP): ratios as published, numbers small
SIZES = {
    "CLIP-B32": (1, 8, 16, 12),
    "CLIP-L14": (2, 4, 16, 20),
    "LiT-L14": (2, 4, 16, 20),
    "SigLIP-B16": (1, 8, 16, None),
    "SigLIP-L16": (2, 8, 24, None),
}
PLAN = Plan(epochs=2, lr=1e-2)


def write(name, folder):
    layers, patch, side, width = SIZES[name]
    size = {"height": side, "width": side}
    told = {
        "text_config": {**TEXT, "num_hidden_layers": layers},
        "vision_config": {**TINY, "image_size": side, "patch_size": patch, "num_hidden_layers": layers},
    }
    tokenizer(folder)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(1)
        if width is not None:
            transformers.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=size).save_pretrained(folder)
            model = transformers.CLIPModel(transformers.CLIPConfig(**told, projection_dim=width))
        else:
            transformers.SiglipImageProcessorPil(size=size).save_pretrained(folder)
            model = transformers.SiglipModel(transformers.SiglipConfig(**told))
            torch.nn.init.constant_(model.logit_scale, 4.77)  # as published: above log 100
            torch.nn.init.constant_(model.logit_bias, -12.9)
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}

    def folder(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            write(name, made[name])
        return made[name]

    return folder


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    place, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for k in range(10):
        Image.fromarray(rng.integers(0, 256, (20 + k, 30, 3), dtype=np.uint8)).save(place / f"{k}.png")
    words = "abcdefghijklmnopqrstuvwxyz"
    texts = [" ".join(words[k : k + 1 + k % 4]) for k in range(12)]
    return {"image": [str(place / f"{k}.png") for k in range(10)], "text": texts}


PAIRS = np.stack([np.arange(8), np.arange(8)[::-1]], axis=1)


@pytest.mark.parametrize("name", list(MODELS))
def test_features_are_those_of_the_model_and_of_the_frozen_encoder(name, models, sides):
    folder = models(name)
    found = two_towers(folder)
    net = transformers.AutoModel.from_pretrained(folder).eval()
    before = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    told = {"text": sides["text"][1:4]}
    pictures = [Image.open(path) for path in sides["image"]]
    told_tokens = reader(told["text"], padding="max_length", max_length=16, return_tensors="pt")
    mask = {} if "SigLIP" in name else {"attention_mask": told_tokens["attention_mask"]}
    with torch.inference_mode():
        pixels = before(images=pictures, return_tensors="pt")["pixel_values"]
        image = net.get_image_features(pixel_values=pixels).pooler_output
        text = net.get_text_features(input_ids=told_tokens["input_ids"], **mask).pooler_output
    image, text = (normalize(x, dim=1).numpy() for x in (image, text))
    assert np.allclose(found.encode({"image": sides["image"]}).arrays["image"], image, atol=1e-6)
    assert np.allclose(found.encode(told).arrays["text"], text, atol=1e-6)
    frozen = load(f"hf:{folder}", kind="text").encode(told["text"])
    assert np.allclose(text, normalize(torch.from_numpy(frozen), dim=1).numpy(), atol=1e-6)


def test_pictures_may_be_paths_pixels_or_pillow(models, sides):
    found = two_towers(models("CLIP-B32"))
    opened = [Image.open(path) for path in sides["image"]]
    expected = found.encode({"image": sides["image"]}).arrays["image"]
    for given in (opened, [np.asarray(picture) for picture in opened]):
        assert np.array_equal(found.encode({"image": given}).arrays["image"], expected)
    answer = found.encode({"image": [sides["image"][0], None, "nowhere.png"]})
    assert answer.present[:, 0].tolist() == [True, False, False]
    assert np.allclose(answer.arrays["image"][0], expected[0], atol=1e-6)


@pytest.mark.parametrize("name", list(MODELS))
def test_each_model_is_fine_tuned_saved_and_read_back(name, models, sides, tmp_path):
    first, told = two_towers(models(name)), MODELS[name]
    before = {key: tensor.clone() for key, tensor in first.net.state_dict().items()}
    training = finetune(first, sides, PAIRS, loss=told.loss, lock=told.lock, plan=PLAN, batch_size=4)
    tuned = training.result
    assert training.about["first_scale"]["logit_scale"] == first.about["scale"]["logit_scale"]  # the model's own
    assert all(torch.equal(tensor, before[key]) for key, tensor in first.net.state_dict().items())
    for m, side in enumerate(tuned.names):
        moved = weights_hash(tuned.net.encoders[m]) != weights_hash(first.net.encoders[m])
        assert moved == (told.lock != side)
    assert tuned.about["scale"]["logit_scale"] != first.about["scale"]["logit_scale"]
    tuned.save(tmp_path / "model")
    read = modest.load(tmp_path / "model")
    for side, values in sides.items():
        rows = tuned.encode({side: values}).arrays[side]
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        assert np.array_equal(read.encode({side: values}).arrays[side], rows)
    assert read.about == tuned.about


def test_siglip_keeps_a_scale_above_a_hundred_and_clip_does_not(models, sides):
    slow = Plan(epochs=1, lr=1e-8)
    tuned = finetune(two_towers(models("SigLIP-B16")), sides, PAIRS, loss="siglip", plan=slow).result
    assert tuned.about["scale"]["logit_scale"] == pytest.approx(4.77, abs=1e-3)
    clip = finetune(two_towers(models("CLIP-B32")), sides, PAIRS, plan=slow).result
    assert clip.about["scale"]["logit_scale"] == pytest.approx(np.log(1 / 0.07), abs=1e-3)


def test_siglip_texts_are_filled_to_full_length_and_clip_texts_cut_to_the_longest(models, sides):
    for name in ("CLIP-B32", "SigLIP-B16"):
        backbone = two_towers(models(name)).backbones["text"]
        x = torch.stack([backbone.reading.eval(backbone.reading.read(text)) for text in sides["text"]])
        assert x.shape == (12, 16)
        seen = []
        backbone.net.body.register_forward_pre_hook(lambda m, a, kw, seen=seen: seen.append(kw), with_kwargs=True)
        backbone.net(x)
        longest = int((x != 0).sum(dim=1).max())
        assert seen[0]["input_ids"].shape[1] == (16 if "SigLIP" in name else longest + 1)
        assert "attention_mask" not in seen[0]


def test_a_cut_run_goes_on_to_the_same_bits(models, sides, tmp_path):
    first, path = two_towers(models("CLIP-B32")), tmp_path / "run.safetensors"
    whole = finetune(first, sides, PAIRS, plan=PLAN, batch_size=4).result
    begun = finetune(first, sides, PAIRS, plan=PLAN, batch_size=4, checkpoint=path)
    next(record for record in begun if "losses" in record.values)  # one epoch, then no more
    resumed = finetune(first, sides, PAIRS, plan=PLAN, batch_size=4, checkpoint=path).result
    assert weights_hash(resumed.net) == weights_hash(whole.net)


def test_the_sides_of_a_pool(models, sides, tmp_path):
    rows = [{"id": f"i{k}", "image": sides["image"][k]} for k in range(8)]
    rows += [{"id": f"t{k}", "text": sides["text"][k]} for k in range(8)]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pool = modest.ingest(tmp_path / "items.jsonl", tmp_path / "pool")
    place = {name: row for row, name in enumerate(pool.ids.tolist())}
    pairs = np.array([[place[f"i{a}"], place[f"t{b}"]] for a, b in PAIRS.tolist()])
    first = two_towers(models("CLIP-B32"))
    tuned = finetune(first, pool, pairs, plan=PLAN, batch_size=8).result
    alone = finetune(first, {m: values[:8] for m, values in sides.items()}, PAIRS, plan=PLAN, batch_size=8).result
    assert tuned.about["history"][0]["all"] == pytest.approx(alone.about["history"][0]["all"], rel=1e-4)
    with pytest.raises(ValueError, match="row 8 of image, which is absent there"):
        finetune(first, pool, pairs[:, ::-1])


def test_unreadable_pictures_leave_their_pair_out(models, sides):
    broken = {**sides, "image": ["nowhere.png", *sides["image"][1:]]}
    steps = finetune(two_towers(models("CLIP-B32")), broken, PAIRS[:3], plan=PLAN, batch_size=8)
    expected = finetune(two_towers(models("CLIP-B32")), sides, PAIRS[1:3], plan=PLAN, batch_size=8)
    assert next(iter(steps)).values["loss"] == pytest.approx(next(iter(expected)).values["loss"], rel=1e-5)


@pytest.mark.parametrize("name", ["clip_image", "clip_text", "siglip_image", "siglip_text"])
class TestBackbones:
    """What tests/encoders/test_trainable.py asks of every backbone."""

    def made(self, name, models, seed=0, weights=False):
        place = models("CLIP-B32" if name.startswith("clip") else "SigLIP-B16")
        generator = torch.Generator().manual_seed(seed)
        return build(name, generator=generator, **{"weights" if weights else "place": str(place)})

    def test_config_is_json_and_builds_the_same_again(self, name, models):
        made = self.made(name, models, weights=True)
        again = build(**json.loads(json.dumps(dict(made.config))), generator=torch.Generator().manual_seed(0))
        assert again.config == made.config
        assert weights_hash(again.net) != weights_hash(made.net)  # sizes alone
        again.net.load_state_dict(made.net.state_dict())
        assert again.reading.shape == made.reading.shape
        assert again.width == made.width

    def test_first_weights_come_from_the_generator_alone(self, name, models):
        before = torch.get_rng_state()
        one, same, other = (weights_hash(self.made(name, models, seed).net) for seed in (1, 1, 2))
        assert torch.equal(torch.get_rng_state(), before)
        assert one == same != other

    def test_gradients_reach_all_weights(self, name, models, sides):
        made = self.made(name, models, weights=True)
        read = made.reading
        x = torch.stack([read.eval(read.read(value)) for value in sides[read.kind][:3]])
        made.net(x).square().sum().backward()
        without = {n for n, p in made.net.named_parameters() if p.grad is None or not p.grad.any()}
        assert {n for n in without if not n.endswith("k_proj.bias")} == set()


def broken(folder, tmp_path, change):
    place = tmp_path / "broken"
    shutil.copytree(folder, place)
    change(place)
    return place


def test_what_is_no_such_model_is_one_sentence(models, tmp_path):
    folder = models("CLIP-B32")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds no model: config\.json is not there"):
        two_towers(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="is no file or folder here"):
        two_towers(tmp_path / "nowhere")
    other = broken(folder, tmp_path, lambda place: (place / "config.json").write_text('{"model_type": "bert"}'))
    with pytest.raises(ValueError, match="is a bert model, which has no two towers; give a CLIP or SigLIP model"):
        two_towers(other)
    shutil.rmtree(other)
    other = broken(folder, tmp_path, lambda place: (place / "model.safetensors").unlink())
    with pytest.raises(ValueError, match="broken cannot be loaded"):
        two_towers(other)
    shutil.rmtree(other)
    other = broken(folder, tmp_path, lambda place: (place / "model.safetensors").write_bytes(b"no weights"))
    with pytest.raises(ValueError, match="broken cannot be loaded"):
        two_towers(other)
    shutil.rmtree(other)
    other = broken(folder, tmp_path, lambda place: (place / "tokenizer.json").unlink())
    with pytest.raises(ValueError, match="broken cannot be loaded"):
        two_towers(other)
    with pytest.raises(ValueError, match="is a clip model, not a siglip one; name it clip_text"):
        build("siglip_text", generator=torch.Generator(), weights=folder)
    with pytest.raises(ValueError, match="clip_text is published; name its folder"):
        build("clip_text", generator=torch.Generator())
    assert family(folder) == "clip"


def test_a_classifier_goes_on_from_a_fine_tuned_model(models, sides, tmp_path):
    tuned = finetune(two_towers(models("CLIP-B32")), sides, PAIRS, plan=PLAN).result
    rows = [{"id": f"{k}", "image": sides["image"][k], "text": sides["text"][k], "label": k % 2} for k in range(8)]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pool = modest.ingest(tmp_path / "items.jsonl", tmp_path / "pool")
    clf = modest.MultimodalClassifier(method="concat", encoders=tuned, epochs=1, batch_size=8).fit(
        pool, validation=False
    )
    clf.save(tmp_path / "clf")
    assert np.array_equal(modest.load(tmp_path / "clf").predict_proba(pool), clf.predict_proba(pool))
