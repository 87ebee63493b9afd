"""The page of a model, the files of a page, and where a report comes from."""

import json

import numpy as np
import pandas as pd
import pytest

import modest
from modest import report
from modest.data import files
from modest.data.history import add_line
from modest.report.provenance import versions
from modest.report.run_page import accuracy_figure

SCORES = {"macro_accuracy": 0.7, "weighted_f1": 0.7, "ece": 0.1, "ece_by_chance": 0.02}
FOUND = {
    "split": "test",
    "fused": {"accuracy": 0.8, "rows": 40, **SCORES},
    "modality": {
        "image": {"accuracy": 0.6, "rows": 40, "weight": 0.3, **SCORES},
        "text": {"accuracy": 0.7, "rows": 30, "weight": 0.7, **SCORES},
    },
    "laziness": {"image": {"alone_probe": 0.7, "joint_probe": 0.6, "alone": 0.6, "joint": 0.5, "lazy": True}},
    "verdict": "image is lazy.",
    "what_if": {"sentences": ["Buy text."]},
}


@pytest.fixture
def model(tmp_path):
    rng = np.random.default_rng(0)
    pool = modest.ingest({"image": rng.normal(size=(9, 3)), "label": list("abcabcabc")}, tmp_path / "pool")
    folder = pool.path / "models" / "first"
    folder.mkdir(parents=True)
    metrics = {"method": "mla", "seed": 3, "epochs": 5, "kept_epoch": 1, "labelled": 9, "modalities": ["image", "text"],
               "classes": list("abc"), "evaluation": {"test": FOUND}}  # fmt: skip
    files.write_json(folder / "metrics.json", metrics)
    return pool, folder


def test_bars_hold_accuracies_and_weights():
    left, right = accuracy_figure(FOUND).axes
    assert [bar.get_width() for bar in left.patches] == [0.8, 0.6, 0.7]
    assert [bar.get_width() for bar in right.patches] == [0.3, 0.7]
    plain = {"fused": FOUND["fused"], "modality": {"image": {"accuracy": None, "rows": 0}}}  # of an older evaluation
    (only,) = accuracy_figure(plain).axes
    assert [bar.get_width() for bar in only.patches] == [0.8]


def test_a_model_is_told_in_words_and_numbers(model):
    pool, folder = model
    add_line(pool.path, {"labelled": 9, "accuracy": 0.8, "method": "mla", "split": "test", "mask": None})
    add_line(pool.path, {"labelled": 9, "accuracy": 0.1, "method": "late", "split": "test", "mask": None})
    page = report.run_page(pool, folder, report.Note("What to do now", "Stop.", "modest report"))
    assert [part.title for part in page.parts] == [
        "Each modality and all together, test", "Is a modality lazy? test", "What a modality is worth, test",
        "Is it enough?", "Provenance",
    ]  # fmt: skip
    assert "+10.0 points from text alone" in page.parts[0].text
    assert page.parts[0].table["weight"].tolist() == ["-", "30.0", "70.0"]
    assert page.parts[1].table["lazy"].tolist() == ["yes"]
    assert page.notes[0].text.endswith("on image, text with 9 labels over 5 epochs, of which number 2 was kept.")
    assert page.notes[1].text == "It is right on 80.0 % of the test rows, the best modality alone on 70.0 %."
    assert ("80.0 %", "of test rows right") in page.numbers
    assert dict(page.parts[-1].facts)["first, seed"] == 3
    assert "<code>modest report</code>" in report.html(page)


def test_a_model_without_evaluation_says_so(model):
    pool, folder = model
    files.write_json(folder / "metrics.json", {"method": "mla"})
    page = report.run_page(pool, folder)
    assert page.notes[1].text == "It has not been evaluated yet."
    (folder / "metrics.json").unlink()
    with pytest.raises(FileNotFoundError):
        report.run_page(pool, folder)


def test_every_table_and_figure_becomes_a_file(model, tmp_path):
    pool, folder = model
    page = report.run_page(pool, folder)
    written = report.write_tables(page, tmp_path / "tables")
    names = sorted(path.name for path in written)
    assert names == sorted(path.name for path in (tmp_path / "tables").iterdir())
    figure = "01-each-modality-and-all-together-test"
    assert {f"{figure}.parquet", f"{figure}.png", f"{figure}.svg", "00-summary.parquet"} <= set(names)
    numbers = pd.read_parquet(tmp_path / "tables" / f"{figure}.parquet")
    assert numbers["accuracy"].tolist() == [0.8, 0.6, 0.7]  # plain numbers, not what a page shows
    assert (tmp_path / "tables" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "tables" / f"{figure}.svg").read_text().startswith("<svg")
    facts = pd.read_parquet(tmp_path / "tables" / f"{len(page.parts):02d}-provenance-facts.parquet")
    assert "pool, hash of ids in order" in facts["name"].tolist()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write"):
        report.write_tables(page, tmp_path / "file" / "tables")


def test_provenance_names_what_changes_the_result(model):
    pool, _ = model

    def told():
        return dict(report.provenance_part(modest.open(pool.path)).facts)

    before = told()
    pool.add({pool.ids[0]: "c"})
    after = told()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"pool, hash of the table with its labels"}
    assert before["image, encoder"].startswith("given")
    assert json.dumps(versions()).count(".") > 5
