import json
import sys

import numpy as np
import pytest

import modest
from modest.cli import main
from modest.data.features import from_array
from modest.data.writing import write_view
from modest.representation.gap import modality_gap


@pytest.fixture
def pool(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(30, 5))
    made = modest.ingest({"image": image, "text": image + 1.0}, tmp_path / "pool")
    for name, array in (("image", image), ("text", image + 0.1)):
        write_view(made.path, name, "clip", from_array(array, name), made.ids)
    write_view(made.path, "image", "pixels", from_array(rng.normal(size=(30, 7)), "image"), made.ids)
    return made


@pytest.fixture
def modest_says(monkeypatch, capsys):
    """Run the command line in this process; give exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["modest", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    return call


def test_a_pool_gets_its_gap_drawn(pool, tmp_path, modest_says):
    code, stdout, err = modest_says("report", pool.path, "--out", tmp_path / "r.html", "--json")
    assert code == 0, err
    sections = ["Near-duplicates", "Items that agree most and least", "Modalities", "Modality gap", "Provenance"]
    assert json.loads(stdout)["sections"] == sections
    page = (tmp_path / "r.html").read_text()
    assert page.count("<figure") == 2
    assert f"{modality_gap(pool.views()).gap:.4f}" in page


def test_before_and_after_in_one_figure(pool, tmp_path, modest_says):
    named = ("--views", "image=clip,text=clip", "--before", "image=given,text=given")
    code, _, err = modest_says("report", pool.path, *named, "--out", tmp_path / "r.html")
    assert code == 0, err
    page = (tmp_path / "r.html").read_text()
    assert page.count("<figure") == 2
    before, after = (modality_gap(pool.views(dict.fromkeys(pool.names, e))).gap for e in ("given", "clip"))
    for words in (f"{before:.4f}", f"{after:.4f}", f"{after - before:+.4f}"):
        assert words in page


def test_another_seed_draws_other_partners(pool, tmp_path, modest_says):
    pages = []
    for seed in (0, 0, 1):
        assert modest_says("report", pool.path, "--out", tmp_path / "r.html", "--seed", seed)[0] == 0
        pages.append((tmp_path / "r.html").read_text())
    assert pages[0] == pages[1] != pages[2]


def test_widths_that_differ_are_said_in_the_page(pool, tmp_path, modest_says):
    code, _, err = modest_says("report", pool.path, "--views", "image=pixels,text=clip", "--out", tmp_path / "r.html")
    assert code == 0, err
    page = (tmp_path / "r.html").read_text()
    assert page.count("<figure") == 0
    assert "No gap is drawn: image by pixels has 7, text by clip has 5 features" in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--views", "image"), "write it as image=NAME,text=NAME"),
        (("--before", "image=clip,image=given"), "names 'image' twice"),
        (("--views", "image=clip"), "name at least two modalities"),
        (("--views", "image=clip,text=other"), "has no view text=other"),
        (("--before", "image=clip,sound=clip"), "has no view sound=clip"),
    ],
)
def test_bad_names_are_one_sentence_and_write_nothing(pool, tmp_path, modest_says, options, words):
    code, out, err = modest_says("report", pool.path, *options, "--out", tmp_path / "r.html")
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "r.html").exists()


def test_a_bench_has_no_views(tmp_path, modest_says):
    (tmp_path / "protocol.json").write_text("{}")
    code, _, err = modest_says("report", tmp_path, "--views", "image=a,text=b", "--out", tmp_path / "r.html")
    assert code == 2
    assert "--views belongs to the report of a pool" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--round", 1, "--model", "first"), "two pages"),
        (("--round", 7), "round=7 is no round"),
        (("--round", 1, "--before", "image=clip,text=clip"), "--before belongs to the page of the pool"),
        (("--model", "first"), "--model 'first' is neither"),
        (("--pool", "other"), "--pool belongs to the report of a bench"),
    ],
)
def test_pages_that_cannot_be_are_one_sentence(pool, tmp_path, modest_says, options, words):
    code, out, err = modest_says("report", pool.path, *options, "--out", tmp_path / "r.html")
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_a_round_and_a_model_have_their_page_beside_them(pool, tmp_path, modest_says, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pool.add(modest.select(pool.views(), 4, method="kcenter"))
    code, out, err = modest_says("report", pool.path, "--round", 1, "--tables", "tables", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (pool.path / "rounds" / "1" / "report.html").is_file()
    assert told["next"].startswith("modest annotate")
    assert len(told["tables"]) == len(list((tmp_path / "tables").iterdir())) > 5
    folder = pool.path / "models" / "first"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"kind": "classifier"}')
    (folder / "metrics.json").write_text('{"method": "mla"}')
    code, out, err = modest_says("report", pool.path, "--model", "first")
    assert code == 0, err
    assert (folder / "report.html").is_file()
    assert "It has not been evaluated yet." in out


def test_annotators_are_on_the_page_of_their_round(pool, tmp_path, modest_says):
    from modest.annotation.gather import tasks_of
    from modest.annotation.store import Store

    pool.add(modest.select(pool.views(), 3, method="kcenter"))
    with Store(pool.path, redundancy=2) as store:
        store.add(tasks_of(modest.open(pool.path)))
        for name, words in (("ada", "xyx"), ("bob", "xxx")):
            for word in words:
                (task,) = store.next(name)
                store.answer(task.number, name, "label", (word,), 1.0)
    code, out, err = modest_says("report", pool.path, "--round", 1, "--out", tmp_path / "r.html", "--json")
    assert code == 0, err
    assert {"Who answered", "Where annotators disagree"} <= set(json.loads(out)["sections"])
    assert "67 % of the pairs of answers" in (tmp_path / "r.html").read_text()
