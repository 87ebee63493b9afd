"""``modest bench --rounds``: from the command line, and killed for good in the middle of a chain."""

import json
import signal
import time

import pytest

from modest.bench import about_bench, results
from tests.cli.test_bench import contents, finish, pool, start  # noqa: F401 - pool is a fixture

WAYS = "random,badge,maxherding+bmmal,uherding"


def options(pool, out, *more):  # noqa: F811
    given = ("--rounds", "--methods", WAYS, "--budgets", "8,0.1,30", "--seeds", "4", "--jobs", "2", "--out", out)
    return ("bench", pool, *given, *more)


def test_killed_in_the_middle_of_a_chain_it_ends_in_the_same_files(pool, tmp_path):  # noqa: F811
    code, _, err = finish(*options(pool, tmp_path / "calm"))
    assert code == 0, err
    out = tmp_path / "out"
    for cells in (0, 13, 30):
        process = start(*options(pool, out))
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            if (out / "protocol.json").is_file() and len(list((out / "cells").glob("*.json"))) >= cells:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (out / "results.csv").is_file() or process.returncode == 0
    code, _, err = finish(*options(pool, out))
    assert code == 0, err
    assert contents(out) == contents(tmp_path / "calm")
    assert len(results(out)) == 4 * 4 * 3


def test_what_is_asked_first_and_of_whom(pool, tmp_path, shell):  # noqa: F811
    given = ("--rounds", "--methods", "badge,uherding", "--budgets", "8,12", "--seeds", "1", "--jobs", "1")
    said = shell(
        "bench", pool, *given, "--first", "kcenter", "--warm", "concat", "--epochs", "2", "--out", tmp_path, "--json"
    )
    assert said.code == 0, said.err
    assert json.loads(said.out)["cells"] == 4
    told = about_bench(tmp_path)["protocol"]
    assert (told["rounds"], told["first"], told["warm"]) == (True, "kcenter", {"epochs": 2})
    first = json.loads(next((tmp_path / "choices").glob("*badge~8.json")).read_text())
    assert first["method"] == "kcenter"
    page = shell("report", tmp_path, "--pool", pool, "--out", tmp_path / "r.html")
    assert page.code == 0, page.err
    assert "badge" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--methods", "badge"), "set rounds"),
        (("--first", "kcenter"), "belong to --rounds"),
        (("--warm", "probe"), "belong to --rounds"),
        (("--rounds", "--warm", "late"), "known: probe, concat"),
        (("--rounds", "--methods", "margin+badge"), "begin with a cold method"),
    ],
)
def test_bad_options_are_one_sentence_and_write_nothing(pool, tmp_path, shell, given, words):  # noqa: F811
    said = shell("bench", pool, "--out", tmp_path / "out", *given)
    assert said.code == 2
    assert words in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
