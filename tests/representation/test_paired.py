"""Fine-tuning on a pool: which pairs are used, what is written, restart and continue, killed at any step."""

import json

import numpy as np
import pandas as pd
import pytest

import modest
from modest.data.pairs import bought, sides, write_pairs
from modest.representation import finetune, towers
from modest.representation.paired import learn_pairs
from modest.representation.presets import PRESETS
from modest.training import weights_hash
from tests.killing import in_fork, try_all

N = 14


def rows(k=8, start=0):
    told = {"modality_a": "text", "modality_b": "image", "status": "matched", "cost": 1.0, "annotator": "a"}
    lines = [{**told, "id_a": f"t{i:02d}", "id_b": f"i{(3 * i) % N:02d}", "answer": i} for i in range(start, k)]
    return pd.DataFrame([{**line, "round": 1} for line in lines])


@pytest.fixture
def pool(tmp_path):
    """14 pictures and 14 captions apart, two rows whole (one of them test), ready views of both, 8 pairs bought."""
    rng = np.random.default_rng(0)
    ids = [f"i{k:02d}" for k in range(N)] + [f"t{k:02d}" for k in range(N)] + ["whole", "whole-test"]
    arrays = {"image": rng.standard_normal((len(ids), 6)), "text": rng.standard_normal((len(ids), 4))}
    arrays["image"][N : 2 * N] = np.nan
    arrays["text"][:N] = np.nan
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    made = modest.ingest({"id": ids, "split": ["train"] * (len(ids) - 1) + ["test"], **arrays}, tmp_path / "pool")
    write_pairs(made.path, rows())
    return made


def test_known_and_bought_pairs_of_the_split_are_trained_and_all_rows_encoded(pool):
    made = learn_pairs(pool, epochs=3)
    assert made.about["pairs"] == 9  # eight bought, one whole row; the other one is test
    assert (made.about["towers"], made.about["round"], made.about["loss"]) == ("linear", "restart", "clip")
    arrays, at = sides(pool, {"image": "given", "text": "given"})
    pairs = bought(pool, at)
    plan = PRESETS["small"].plan(9)
    again = finetune(
        towers({"image": 6, "text": 4}), arrays, pairs, plan=type(plan)(**{**vars(plan), "epochs": 3}), batch_size=50
    )
    assert weights_hash(again.result.net) == weights_hash(made.net)
    fresh = modest.open(pool.path)
    assert fresh.config["modalities"] == {"image": "pairs", "text": "pairs"}
    views = fresh.views()
    assert views.shape == {"image": (30, 128), "text": (30, 128)}
    assert views.present.sum(axis=0).tolist() == [16, 16]
    read = modest.load(pool.path / "models" / "pairs")
    assert weights_hash(read.net) == weights_hash(made.net)
    assert read.sources["encoders"] == {"image": "given", "text": "given"}
    assert not list((pool.path / "models" / "pairs").glob("pairs.safetensors"))


def test_a_later_round_restarts_or_continues_on_the_same_views(pool):
    one = learn_pairs(pool, epochs=3)
    write_pairs(pool.path, rows(12))
    restarted = learn_pairs(modest.open(pool.path), epochs=3)
    assert (restarted.about["pairs"], restarted.about["round"]) == (13, "restart")
    assert restarted.sources["encoders"] == {"image": "given", "text": "given"}
    continued = learn_pairs(modest.open(pool.path), epochs=4, again=True)
    assert continued.about["round"] == "continue"
    assert continued.about["first_scale"] == restarted.about["scale"]
    hashes = {weights_hash(made.net) for made in (one, restarted, continued)}
    assert len(hashes) == 3
    revision = json.loads((pool.path / "views" / "image" / "pairs.json").read_text())["revision"]
    assert revision == continued.about["run"]


def test_the_same_again_trains_nothing(pool, monkeypatch):
    one = learn_pairs(pool, epochs=3)
    monkeypatch.setattr("modest.training.fit._epoch", None)
    for again in (False, True):
        assert weights_hash(learn_pairs(pool, epochs=3, again=again).net) == weights_hash(one.net)


def test_a_copy_of_the_model_before_last_is_noticed(pool):
    """A kill after the new model was saved leaves a copy of the old one; new pairs go on from the new one."""
    from modest.representation.paired import ASIDE

    learn_pairs(pool, epochs=2)
    folder = pool.path / "models" / "pairs"
    old = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    write_pairs(pool.path, rows(10))
    second = learn_pairs(pool, epochs=2, again=True)
    (folder / ASIDE).mkdir()
    for name, content in old.items():
        (folder / ASIDE / name).write_bytes(content)
    write_pairs(pool.path, rows(12))
    third = learn_pairs(pool, epochs=2, again=True)
    assert third.about["first_weights"] == weights_hash(second.net)
    assert third.about["first_scale"] == second.about["scale"]
    assert not (folder / ASIDE).exists()


def test_a_restart_from_other_first_weights_trains_anew(pool):
    one = learn_pairs(pool, epochs=2)
    narrow = learn_pairs(pool, epochs=2, width=16)
    assert narrow.about["first_weights"] != one.about["first_weights"]
    assert narrow.encode({"image": np.eye(6, dtype=np.float32)}).arrays["image"].shape == (6, 16)
    went_on = learn_pairs(pool, epochs=3, width=16, again=True)
    back = learn_pairs(pool, epochs=3, width=16)  # all but the first weights is as it was
    assert (went_on.about["round"], back.about["round"]) == ("continue", "restart")
    assert back.about["first_weights"] == narrow.about["first_weights"]
    assert weights_hash(back.net) != weights_hash(went_on.net)


@pytest.mark.parametrize("again", [False, True])
def test_killed_at_any_step_it_goes_on_to_the_same_files(pool, again):
    if again:
        learn_pairs(pool, epochs=2)
        write_pairs(pool.path, rows(12))
    job = lambda: learn_pairs(pool.path, epochs=3, again=again)  # noqa: E731
    killed = try_all(pool.path, job, 3, 1 if not again else 2)
    assert len(killed) > 10


def test_names_and_views_that_clash_are_refused(pool):
    assert in_fork(pool.path, lambda: learn_pairs(pool, epochs=1))[0] == 0
    for more, told in (
        ({"name": "../x"}, "must be a plain folder name"),
        ({"name": "given"}, "image=given is a view that another encoder made"),
        ({"views": {"image": "pairs"}}, "own view image=pairs"),
        ({"what": "forest"}, "towers='forest' is unknown; known: linear, mlp, CLIP-B32"),
        ({"preset": "hot"}, "preset='hot' is unknown; known: ttm"),
        ({"what": "mlp", "again": True}, "was not trained with towers='mlp'"),
        ({"split": "night"}, "split='night' is unknown"),
    ):
        with pytest.raises(ValueError, match=told):
            learn_pairs(pool, **{"name": "pairs", **more})
    (pool.path / "pairs.parquet").unlink()
    with pytest.raises(ValueError, match="pairs holds 1 pair;"):
        learn_pairs(pool, name="other")
