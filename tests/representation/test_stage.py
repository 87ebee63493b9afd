"""``represent`` on a pool: killed at any moment it ends in the same bytes; what it refuses and leaves alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import modest
from modest.encoders import embed
from modest.representation import Objective
from modest.representation.stage import of_preset, replanned, represent
from modest.training import Plan
from tests.encoders.test_embed import content

ROOT = Path(modest.__file__).parent.parent


@pytest.mark.parametrize("how", ["first", "fresh"])
def test_killed_at_many_steps_and_run_again(tmp_path, how):
    done = subprocess.run(
        [sys.executable, "-m", "tests.representation.kills", str(tmp_path), how],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    killed = json.loads(done.stdout)
    assert len(killed) >= (10 if how == "first" else 7)
    # no finished epoch is trained again: those before the kill and those after it are all there are, or one more
    assert {before + after for _, before, after in killed} <= {3, 4}
    assert len({before for _, before, _ in killed}) > 1
    told = [what for what, _, _ in killed]
    assert told[0] == "os.remove models/stage1/run.safetensors"
    for place in ("models/stage1/.run", "models/stage1/.model", "views/.image", "views/.sensor", " .config.json"):
        assert any(place in what for what in told), place


PLAN = Plan(epochs=2, lr=1e-3, warmup=1)
RAW = {
    "image": {"name": "resnet18", "width": 0.1, "depth": (1, 1, 1, 1), "size": 8},
    "text": {"name": "bert", "layers": 1, "hidden": 8, "heads": 2, "vocab": 64, "positions": 8, "length": 6},
}


def sensors(folder, n=24, **more):
    """A pool of two ready views, the second absent in some rows."""
    rng = np.random.default_rng(0)
    views = {"a": rng.normal(size=(n, 4)).astype(np.float32), "b": rng.normal(size=(n, 3)).astype(np.float32)}
    views["b"][::5] = np.nan
    split = np.where(np.arange(n) < 16, "train", "test")
    return modest.ingest({**views, "id": [f"i{k:03d}" for k in range(n)], "split": split, **more}, folder / "pool")


def train(pool, **options):
    return represent(pool, plan=PLAN, objective=Objective(2), batch_size=8, width=6, **options)


def array(pool, modality, name="stage1"):
    return np.array(pool.views({modality: name}).arrays[modality])


def test_views_of_all_rows_are_those_the_model_gives_and_become_the_default(tmp_path):
    pool = sensors(tmp_path)
    seen = []
    made = train(pool, progress=lambda done, total: seen.append((done, total)))
    out = made.encode(pool)
    assert out.shape == {"a": (24, 6), "b": (24, 6)}
    for opened in (pool, modest.open(pool.path)):
        views = opened.views()
        assert np.array_equal(views.present, [[True, k % 5 > 0] for k in range(24)])
        assert all(np.array_equal(views.arrays[m], out.arrays[m], equal_nan=True) for m in "ab")
    assert pool.views({"a": "given"}).shape["a"] == (24, 4)
    loaded = modest.load(pool.path / "models/stage1")
    assert np.array_equal(loaded.encode(pool).arrays["a"], out.arrays["a"])
    assert loaded.sources == {"encoders": {"a": "given", "b": "given"}, "columns": {}}
    assert seen[:2] == [(1, 2), (2, 2)]
    assert seen[-1] == (24, 24)
    assert len(made.about["history"]) == 2


def test_the_same_again_changes_nothing_and_trains_nothing(tmp_path, monkeypatch):
    pool = sensors(tmp_path)
    first = train(pool)
    before = content(pool.path)
    monkeypatch.setattr("modest.training.fit._epoch", None)  # training would fail
    again = train(modest.open(pool.path))
    assert content(pool.path) == before
    assert json.loads(json.dumps(first.about)) == again.about


def test_other_settings_want_another_name_or_a_fresh_start(tmp_path):
    pool = sensors(tmp_path)
    train(pool)
    before = content(pool.path)
    with pytest.raises(ValueError, match="trained with other settings or data; give another name, or ask for it fresh"):
        train(pool, seed=1)
    assert content(pool.path) == before
    train(pool, seed=1, name="second")
    assert pool.encoders("a") == ("given", "second", "stage1")
    assert pool.encoder("a") == "second"
    other = train(sensors(tmp_path / "other"), seed=1)
    train(pool, seed=1, fresh=True, sources={"encoders": {"a": "given", "b": "given"}})
    assert np.array_equal(array(pool, "a"), other.encode(pool).arrays["a"])


def test_fresh_trains_on_what_the_model_was_trained_on(tmp_path):
    pool = sensors(tmp_path)
    train(pool, name="first")  # the default from now on
    train(pool)
    before = content(pool.path)
    train(modest.open(pool.path), fresh=True)
    assert content(pool.path) == before
    assert modest.load(pool.path / "models/stage1").sources["encoders"] == {"a": "first", "b": "first"}


def test_a_fresh_start_that_cannot_be_leaves_the_model_and_its_views(tmp_path):
    pool = sensors(tmp_path)
    train(pool)
    before = content(pool.path)
    for bad, told in (
        ({"encoders": {"a": "mlp", "b": "lstm"}}, "'lstm' is unknown"),
        ({"encoders": {"a": "mlp", "c": "resnet18"}}, "no raw column 'c'"),
        ({"sources": {"encoders": {"a": "stage1"}}}, "a would be trained on the view a=stage1, which this run writes"),
    ):
        with pytest.raises(ValueError, match=told):
            train(pool, fresh=True, **bad)
    assert content(pool.path) == before


def test_what_others_made_is_left_alone(tmp_path):
    pool = sensors(tmp_path, label=np.arange(24) % 2)
    modest.MultimodalClassifier(method="late", epochs=1).fit(pool).save(pool.path / "models/mine")
    np.save(tmp_path / "x.npy", np.ones((24, 2), np.float32))
    embed(pool, {"a": f"npy:{tmp_path / 'x.npy'}"})
    before = content(pool.path)
    for fresh in (False, True):
        with pytest.raises(ValueError, match="kind 'classifier'"):
            train(pool, name="mine", fresh=fresh)
        with pytest.raises(ValueError, match=r"a=x.npy is a view that another encoder made; give another name"):
            train(pool, name="x.npy", fresh=fresh)
        for name in ("../x", "", "a/b", ".."):
            with pytest.raises(ValueError, match="plain folder name"):
                train(pool, name=name, fresh=fresh)
    assert content(pool.path) == before


def test_a_view_that_lacks_nothing_any_more_has_no_list_of_absent_rows(tmp_path):
    pool = sensors(tmp_path)
    full = np.random.default_rng(1).normal(size=(24, 3)).astype(np.float32)
    np.save(tmp_path / "full.npy", full)
    embed(pool, {"b": f"npy:{tmp_path / 'full.npy'}"})
    train(pool)
    kept = np.load(pool.path / "views/b/stage1.npy", mmap_mode="r")
    was = np.array(kept)
    train(pool, fresh=True, sources={"encoders": {"a": "given", "b": "full.npy"}})
    assert pool.views().present is None
    assert np.isfinite(array(pool, "b")).all()
    assert np.array_equal(kept, was, equal_nan=True)  # whoever had the old view open still has it


def test_a_grown_pool_gets_the_views_of_its_new_rows(tmp_path):
    pool = sensors(tmp_path)
    made = train(pool)
    rng = np.random.default_rng(5)
    new = {"a": rng.normal(size=(3, 4)).astype(np.float32), "b": rng.normal(size=(3, 3)).astype(np.float32)}
    pool = modest.ingest({**new, "id": ["x", "y", "z"], "split": ["test"] * 3}, pool.path, append=True)
    with pytest.raises(ValueError, match="covers 24 of the 27 items"):
        pool.views()
    train(pool)  # the training rows are the same ones, so is the model
    assert pool.views().shape == {"a": (27, 6), "b": (27, 6)}
    assert np.array_equal(array(pool, "a"), made.encode(pool.views({"a": "given", "b": "given"})).arrays["a"])
    more = modest.ingest({**new, "id": ["u", "v", "w"], "split": ["train"] * 3}, pool.path, append=True)
    with pytest.raises(ValueError, match="other settings or data"):
        train(more)


def test_items_none_of_which_has_two_modalities_are_nothing_to_train_on(tmp_path):
    a, b = np.eye(12, 4, dtype=np.float32) + 1, np.eye(12, 3, dtype=np.float32) + 1
    a[::2], b[1::2] = np.nan, np.nan
    pool = modest.ingest({"a": a, "b": b}, tmp_path / "pool")
    before = content(pool.path)
    with pytest.raises(ValueError, match="no row to train on has two modalities, so there is nothing to align"):
        represent(pool, plan=PLAN, batch_size=4)
    assert content(pool.path) == before
    for k in range(4):
        (tmp_path / f"{k}.png").write_text("no picture")
    picture = Image.fromarray(np.zeros((4, 4, 3), np.uint8))
    picture.save(tmp_path / "good.png")
    image = [str(tmp_path / f"{name}.png") for name in (0, 1, 2, 3, "good")]
    torn = modest.ingest({"image": image, "text": ["a", "b", "c", "d", None]}, tmp_path / "torn")
    for _ in range(2):  # the second time the run is taken up
        with pytest.raises(ValueError, match="no batch has a row of which two modalities can be read"):
            represent(torn, RAW, plan=PLAN, batch_size=4)


def test_a_preset_is_the_arguments_it_stands_for():
    told = of_preset("kinetics_sound/pretraining")
    assert told["plan"].epochs == 45
    assert dict(told["plan"].rates) == {"video": 1e-3, "audio": 1e-3, "projectors": 1e-3}
    assert (told["batch_size"], told["width"], told["objective"]) == (256, 512, Objective(500, 0.07))
    assert of_preset("food101/pretraining")["encoders"]["text"]["weights"] == "google-bert/bert-base-uncased"
    with pytest.raises(ValueError, match="is for modest train; here take food101/pretraining"):
        of_preset("food101/supervised")
    with pytest.raises(ValueError, match="preset='food'"):
        of_preset("food")


def test_rows_appended_later_are_encoded_by_the_model_that_is_there(tmp_path):
    from modest.representation.stage import extend

    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((60, 5)).astype(np.float32), rng.standard_normal((60, 4)).astype(np.float32)
    ids = [f"i{k:02}" for k in range(60)]
    pool = modest.ingest({"id": ids[:50], "a": x[:50], "b": y[:50]}, tmp_path / "pool")
    plan = Plan(epochs=2, warmup=1, schedule="cosine")
    made = represent(pool, plan=plan, objective=Objective(3), batch_size=16, width=4)
    before = np.array(modest.open(pool.path).views({"a": "stage1"}).arrays["a"])
    modest.ingest({"id": ids[50:], "a": x[50:], "b": y[50:]}, pool.path, append=True)
    grown = modest.open(pool.path)
    with pytest.raises(ValueError, match=r"covers 50 of the 60 items; complete it with: .*--name stage1 --extend"):
        grown.views({"a": "stage1"})
    assert grown.short == {}  # what embed could complete
    extend(grown)
    after = modest.open(pool.path).views({"a": "stage1"}).arrays["a"]
    assert np.array_equal(after[:50], before)
    given = grown.views({"a": "given", "b": "given"}).arrays
    assert np.allclose(after[50:], made.encode(given).arrays["a"][50:], atol=1e-6)
    with pytest.raises(FileNotFoundError):
        extend(grown, name="nothing")


def test_a_shorter_run_has_a_shorter_warm_up_unless_one_is_named():
    plan = Plan(epochs=25, warmup=5)
    assert [replanned(plan, epochs=k).warmup for k in (2, 5, 6, 30)] == [0.4, 1.0, 5, 5]
    assert replanned(plan, epochs=5, warmup=3, lr=0.5) == Plan(epochs=5, warmup=3, lr=0.5)
    assert replanned(plan, lr=0.5) == Plan(epochs=25, warmup=5, lr=0.5)
