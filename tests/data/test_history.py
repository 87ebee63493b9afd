import json

import numpy as np
import pytest

import modest
from modest.data.history import FILE, add_line, labelled, past_curve, read_history


def line(labels, accuracy, **more):
    return {"labelled": labels, "accuracy": accuracy, "split": "test", "method": "late", "mask": None, **more}


@pytest.fixture
def pool(tmp_path):
    source = {
        "a": np.eye(6),
        "id": list("fedcba"),
        "label": ["x", None, "y", "x", None, "y"],
        "split": ["train", "train", "train", "test", "train", "val"],
    }
    return modest.ingest(source, tmp_path / "pool")


def test_labels_of_training_rows_are_counted_and_hashed(pool):
    count, digest = labelled(pool)
    assert count == 2
    assert len(digest) == 16
    pool.add({"a": "x", "c": "y"})  # of val and of test: no label of a training row
    assert labelled(pool) == (2, digest)
    pool.add({"e": "x"})
    assert labelled(pool)[0] == 3
    pool.add({"e": None, "d": "x"})  # as many as at first, one of them another
    assert labelled(pool)[0] == 2
    assert labelled(pool)[1] != digest
    pool.add({"d": "y"})
    assert labelled(pool) == (2, digest)


def test_lines_come_back_as_they_were_appended(tmp_path):
    assert read_history(tmp_path) == []
    told = [line(20, 0.5, model="erste Näherung"), line(np.int64(40), 0.6)]
    for one in told:
        add_line(tmp_path, one)
    assert read_history(tmp_path) == told
    assert (tmp_path / FILE).read_text(encoding="utf-8").count("\n") == 2


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path):
    add_line(tmp_path, line(20, 0.5))
    with (tmp_path / FILE).open("a") as handle:
        handle.write(json.dumps(line(40, 0.6))[:30])
    assert [one["labelled"] for one in read_history(tmp_path)] == [20]
    add_line(tmp_path, line(80, 0.7))
    assert [one["labelled"] for one in read_history(tmp_path)] == [20, 80]


def test_what_is_no_line_of_a_history_is_left_out(tmp_path):
    (tmp_path / FILE).write_text('[1]\n{"labelled": "many"}\nnull\n\xff\n' + json.dumps(line(5, 0.1)) + "\n")
    assert read_history(tmp_path) == [line(5, 0.1)]


def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path):
    (tmp_path / "pool").write_text("a file")
    with pytest.raises(OSError, match="a part of this path is a file"):
        add_line(tmp_path / "pool", line(5, 0.1))


def test_a_curve_is_of_one_split_method_and_mask_and_ascends():
    lines = [
        line(40, 0.6),
        line(20, 0.5),
        line(20, 0.9, split="val"),
        line(30, 0.9, method="mla"),
        line(30, 0.9, mask="ab"),
        line(0, 0.9),
        line(80, None),
        line(40, 0.7),
    ]
    counts, scores = past_curve(lines)
    assert counts.tolist() == [20, 40]
    assert scores.tolist() == [0.5, 0.7]  # the newest of the two at 40
    assert past_curve(lines[:5])[0].tolist() == [30]
    assert [len(array) for array in past_curve([])] == [0, 0]
    assert past_curve([line(20, 0.5, macro_accuracy=0.4)], "macro_accuracy")[1].tolist() == [0.4]
