"""``modest ingest`` on the command line."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import modest
from modest.cli.ingest import command


@pytest.fixture
def ask(tmp_path):
    app = typer.Typer()
    app.command()(command)
    x = np.random.default_rng(0).normal(size=(10, 3))
    x[4] = np.nan
    np.savez(tmp_path / "f.npz", id=np.arange(10)[::-1], sound=x, image=np.ones((10, 2)))
    rows = [f"{i},{'ab'[i % 2]},{'test' if i > 7 else 'train'}" for i in range(10)]
    (tmp_path / "items.csv").write_text("\n".join(["id,kind,part", *rows]))

    def call(*extra):
        options = ["--into", str(tmp_path / "pool"), "--label", "kind", "--split", "part"]
        return CliRunner().invoke(app, [str(tmp_path / "items.csv"), *options, *extra])

    call.folder = tmp_path
    return call


def test_it_makes_a_pool_and_names_the_next_command(ask):
    result = ask("--view", f"audio={ask.folder / 'f.npz'}:sound", "--view", f"image={ask.folder / 'f.npz'}:image")
    assert result.exit_code == 0, result.output
    assert "10 items" in result.output
    assert "audio: 3 features, 10.0% absent" in result.output
    assert f"next: modest select {ask.folder / 'pool'} --budget 0.01" in result.output
    pool = modest.open(ask.folder / "pool")
    assert pool.present[:, 0].tolist() == [i != 5 for i in range(10)]  # joined by id, which runs backwards
    assert (pool.split == "test").sum() == 2


def test_json_and_standardise(ask):
    result = ask("--view", f"audio={ask.folder / 'f.npz'}:sound", "--view", f"b={ask.folder / 'f.npz'}:sound", "--json")
    assert result.exit_code != 0  # the row without sound has no modality
    assert "no modality" in str(result.exception)
    both = ["--view", f"audio={ask.folder / 'f.npz'}:sound", "--view", f"image={ask.folder / 'f.npz'}:sound"]
    assert not (ask.folder / "pool").exists()
    ones = [*both[:2], "--view", f"image={ask.folder / 'f.npz'}:image", "--json"]
    told = json.loads(ask(*ones).stdout)
    assert told["modalities"] == ["audio", "image"]
    assert (told["items"], told["classes"], told["labelled"]) == (10, 2, 10)
    assert told["absent"] == {"audio": pytest.approx(0.1), "image": 0.0}
    assert told["next"].startswith("modest select")
    scaled = ask(*ones, "--standardise")
    assert scaled.exit_code != 0  # a constant view has no direction once it is centred
    assert "image is zero throughout" in str(scaled.exception)


@pytest.mark.parametrize("view", ["=x", "image="])
def test_options_that_cannot_be_read(ask, view):
    result = ask("--view", view)
    assert result.exit_code != 0
    assert "NAME=PLACE" in str(result.exception)
    assert not (ask.folder / "pool").exists()


def test_append_and_what_to_run_when_a_view_is_short(ask):
    views = ["--view", f"audio={ask.folder / 'f.npz'}:sound", "--view", f"image={ask.folder / 'f.npz'}:image"]
    assert ask(*views).exit_code == 0
    again = ask(*views, "--append")
    assert again.exit_code != 0
    assert "id '0' is in the pool" in str(again.exception)
    np.savez(ask.folder / "f.npz", id=[10, 11], sound=np.ones((2, 3)), image=np.ones((2, 2)))
    (ask.folder / "items.csv").write_text("id,kind,part\n10,a,train\n11,c,test\n")
    done = ask(*views, "--append")
    assert done.exit_code == 0, done.output
    assert "12 items" in done.output
    assert f"next: modest select {ask.folder / 'pool'}" in done.output
    pool = modest.open(ask.folder / "pool")
    place = pool.path / "views" / "text"
    place.mkdir()
    np.save(place / "hashed-text.npy", np.ones((12, 2), dtype=np.float32))
    about = {"uri": "hashed-text", "rows": pool.config["rows"], "shape": [12, 2]}
    (place / "hashed-text.json").write_text(json.dumps(about))
    (ask.folder / "items.csv").write_text("id,kind,part\n12,a,train\n")
    np.savez(ask.folder / "f.npz", id=[12], sound=np.ones((1, 3)), image=np.ones((1, 2)))
    told = json.loads(ask(*views, "--append", "--json").stdout)
    assert told["next"] == f"modest embed {ask.folder / 'pool'} --text hashed-text"
    assert (told["items"], told["absent"]["text"]) == (13, pytest.approx(1 / 13))


def test_a_layout_by_name(tmp_path):
    app = typer.Typer()
    app.command()(command)
    (tmp_path / "set" / "texts_txt" / "gyoza").mkdir(parents=True)
    (tmp_path / "set" / "my_train_food.txt").write_text("gyoza_1.jpg gyoza\ngyoza_2.jpg gyoza\n")
    (tmp_path / "set" / "texts_txt" / "gyoza" / "gyoza_1.txt").write_text("dumplings")
    call = [str(tmp_path / "set"), "--into", str(tmp_path / "pool"), "--layout", "food101"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    assert "1 items" in result.output
    assert "image: 2 files were not found" in result.output
    assert "next: modest embed" in result.output
    assert "--text URI" in result.output
