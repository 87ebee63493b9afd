import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import modest
from modest.bench import results
from modest.cli import main
from tests.bench.sample import table

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}


def start(*arguments):
    command = [sys.executable, "-m", "modest.cli", *map(str, arguments)]
    told = {"env": ENVIRONMENT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    try:
        return subprocess.Popen(command, **told)
    finally:
        signal.signal(signal.SIGINT, before)


def finish(*arguments):
    process = start(*arguments)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def contents(folder):
    paths = [p for p in folder.rglob("*") if p.is_file() and p.parent.name != "timings"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    given = table(n=200)
    path = tmp_path_factory.mktemp("pools") / "pool"
    arrays = {name: np.array(array) for name, array in given.views.arrays.items()}
    arrays["audio"][~given.views.present[:, 1]] = np.nan
    modest.ingest({**arrays, "label": given.labels, "split": given.split}, path)
    return path


def options(pool, out):
    return (
        "bench",
        pool,
        "--methods",
        "random,kcenter",
        "--budgets",
        "8,0.1,30",
        "--seeds",
        "8",
        "--jobs",
        "2",
        "--out",
        out,
    )


@pytest.fixture(scope="module")
def undisturbed(pool, tmp_path_factory):
    out = tmp_path_factory.mktemp("calm") / "out"
    code, _, err = finish(*options(pool, out))
    assert code == 0, err
    return contents(out)


def test_killed_at_several_moments_it_ends_in_the_same_files(pool, undisturbed, tmp_path):
    out = tmp_path / "out"
    total = 8 * 2 * 3
    for share in (0.0, 0.4, 0.8):  # at the first file, and after about that share of the cells
        process = start(*options(pool, out))
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            if (out / "protocol.json").is_file() and len(list((out / "cells").glob("*.json"))) >= share * total:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (out / "results.csv").is_file() or process.returncode == 0
    code, _, err = finish(*options(pool, out))
    assert code == 0, err
    assert contents(out) == undisturbed


def test_ctrl_c_keeps_what_is_finished_and_says_so(pool, tmp_path):
    for attempt in range(5):  # on a busy machine a bench may end before it is looked at
        out = tmp_path / f"out{attempt}"
        process = start(*options(pool, out))
        while process.poll() is None and len(list((out / "cells").glob("*.json"))) < 12:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        if process.returncode:
            break
    assert process.returncode == 130, err
    assert "kept" in err
    assert 12 <= len(results(out)) < 48


@pytest.fixture
def modest_says(monkeypatch, capsys):
    """Run the command line in this process; give exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["modest", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    return call


def test_json_and_the_next_command(pool, tmp_path, modest_says):
    out = tmp_path / "out"
    code, stdout, _ = modest_says(
        "bench", pool, "--methods", "random", "--seeds", "2", "--jobs", "1", "--out", out, "--json"
    )
    answer = json.loads(stdout)
    assert code == 0
    assert answer["cells"] == len(results(out)) == 2 * 3
    assert answer["next"] == f"modest report {out} --pool {pool}"


def test_another_protocol_in_the_folder_is_one_sentence(pool, tmp_path, modest_says):
    first = (
        "bench",
        pool,
        "--methods",
        "random",
        "--budgets",
        "0.1",
        "--jobs",
        "1",
        "--out",
        tmp_path / "out",
        "--seeds",
    )
    assert modest_says(*first, 1)[0] == 0
    code, out, err = modest_says(*first, 2)
    assert (code, out) == (2, "")
    assert err.strip().startswith("modest: ")
    assert "another folder" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--methods", "magic", "known: auto, random"),
        ("--budgets", "x", "no number"),
        ("--learner", "x", "known: probe"),
    ],
)
def test_bad_options_are_one_sentence_and_write_nothing(pool, tmp_path, modest_says, option, value, words):
    code, _, err = modest_says("bench", pool, "--out", tmp_path / "out", option, value)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_report_of_the_bench_is_one_page(pool, tmp_path, modest_says):
    out = tmp_path / "out"
    assert (
        modest_says("bench", pool, "--methods", "random,kcenter", "--seeds", "2", "--jobs", "1", "--out", out)[0] == 0
    )
    code, _, _ = modest_says("report", out, "--pool", pool, "--out", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert code == 0
    assert page.count("<svg") == 6, "curves, how they go on, modalities, map, coverage, classes"
    assert "kcenter" in page
    assert "http-equiv" not in page
    code, _, err = modest_says("report", tmp_path, "--out", tmp_path / "x.html")
    assert code == 2
    assert "neither a pool nor a bench" in err
    assert not (tmp_path / "x.html").exists()


def test_evaluate_says_what_the_classifier_itself_scores(pool, tmp_path, modest_says):
    table = modest.open(pool)
    train, test = table.split == "train", table.split == "test"
    clf = modest.MultimodalClassifier(method="late", epochs=3)
    clf.fit(table.views(rows=train), table.labels[train].astype(str), validation=False)
    clf.save(tmp_path / "model")
    code, stdout, err = modest_says("evaluate", pool, "--model", tmp_path / "model", "--json")
    assert code == 0, err
    answer = json.loads(stdout)
    assert answer["fused"]["accuracy"] == pytest.approx(
        clf.score(table.views(rows=test), table.labels[test].astype(str))
    )
    assert answer["fused"]["rows"] == int(test.sum())
    assert answer["modality"]["audio"]["rows"] == int(table.present[test][:, table.names.index("audio")].sum())
    assert json.loads((tmp_path / "model" / "metrics.json").read_text())["evaluation"]["test"] == {
        name: answer[name] for name in ("split", "fused", "modality")
    }
    code, stdout, _ = modest_says("evaluate", pool, "--model", tmp_path / "model")
    assert "all together" in stdout
    code, _, err = modest_says("evaluate", pool, "--model", tmp_path / "model", "--split", "val")
    assert code == 2
    assert "no labelled rows of split 'val'" in err
