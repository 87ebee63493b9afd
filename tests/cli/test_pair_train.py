"""``modest pair train``: towers and a two-tower model from the shell."""

import json

import pytest

import modest
from modest.data.pairs import write_pairs
from tests.representation.test_paired import pool, rows  # noqa: F401


def test_towers_from_the_shell(shell, pool):  # noqa: F811
    told = shell("pair", "train", pool.path, "--epochs", 2, "--json")
    assert told.code == 0
    answer = json.loads(told.out)
    assert (answer["pairs"], answer["loss"], answer["round"], answer["towers"]) == (9, "clip", "restart", "linear")
    assert answer["next"].endswith("--views image=pairs,text=pairs")
    write_pairs(pool.path, rows(12))
    said = shell("pair", "train", pool.path, "--epochs", 2, "--loss", "siglip", "--lock", "image", "--continue")
    assert said.code == 0
    assert "image, text: 13 pairs, siglip loss, batches of 50" in said.out
    assert "continue, 2 epochs, loss" in said.out
    assert modest.load(pool.path / "models" / "pairs").about["lock"] == "image"


def test_a_model_from_a_folder(shell, tmp_path):
    pytest.importorskip("transformers")
    import numpy as np
    from PIL import Image

    from tests.encoders.test_clip_towers import write

    model = tmp_path / "siglip"
    write("SigLIP-B16", model)
    items = []
    for k in range(6):
        Image.fromarray(np.full((20, 20, 3), 40 * k, np.uint8)).save(tmp_path / f"{k}.png")
        items += [{"id": f"i{k}", "image": str(tmp_path / f"{k}.png")}, {"id": f"t{k}", "text": "abcdef"[k]}]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, items)))
    made = modest.ingest(tmp_path / "items.jsonl", tmp_path / "pool")
    frame = rows(4).assign(id_a=[f"t{k}" for k in range(4)], id_b=[f"i{k}" for k in range(4)])
    write_pairs(made.path, frame)
    for more in ((), ("--continue", "--lr", "1e-3")):
        said = shell("pair", "train", made.path, "--towers", f"SigLIP-B16={model}", "--epochs", 1, "--json", *more)
        assert said.code == 0, said.err
        answer = json.loads(said.out)
        assert (answer["pairs"], answer["loss"], answer["batch_size"]) == (4, "siglip", 100)
        assert answer["round"] == ("continue" if more else "restart")
    views = modest.open(made.path).views()
    assert views.shape == {"image": (12, 16), "text": (12, 16)}
    assert views.present.sum(axis=0).tolist() == [6, 6]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--towers", "forest"), "towers='forest' is unknown"),
        (("--towers", "CLIP-B32=nowhere.bin"), "is no file or folder here"),
        (("--from", "image"), "--from 'image' cannot be read"),
        (("--loss", "triplet"), "loss='triplet' is unknown"),
        (("--preset", "hot"), "preset='hot' is unknown"),
        (("--lock", "sound"), "lock='sound' is unknown"),
        (("--view", "image"), "--view 'image' cannot be read"),
    ],
)
def test_errors_are_one_sentence(shell, pool, words, said):  # noqa: F811
    told = shell("pair", "train", pool.path, *words)
    assert told.code == 2
    assert said in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert not (pool.path / "models").exists()
