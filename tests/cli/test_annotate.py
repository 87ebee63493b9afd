"""`modest annotate`: what it says before it serves, what it refuses, and a real server stopped by Ctrl-C."""

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

import modest
from modest.annotation.store import Store

pytest.importorskip("starlette", reason="the extra `web` is not installed")


@pytest.fixture
def asked(pictures):
    """The pool of pictures with one round of six items, two of them labelled."""
    pool = modest.open(pictures)
    rows = [1, 2, 5, 6, 7, 11]
    told = modest.Choice(rows, [6.0, 5, 4, 3, 2, 1], pool.ids[rows], "random", tuple(f"reason {k}" for k in rows))
    pool.add(told)
    return pictures


@pytest.fixture
def visited(monkeypatch):
    """Instead of serving, ask the application for these addresses; {address: answer}."""
    from starlette.testclient import TestClient

    wanted = {"/": None}

    def serve(application, where):
        base = f"http://localhost:{where.getsockname()[1]}"
        for address in list(wanted):
            wanted[address] = TestClient(application, base_url=base).get(address)
        raise KeyboardInterrupt

    monkeypatch.setattr("modest.annotation.server.serve", serve)
    return wanted


def test_it_says_where_how_many_and_what_to_do_next(shell, asked, visited):
    said = shell("annotate", asked, "--port", "0")
    assert said.code == 0
    lines = said.out.splitlines()
    known = sum(label is not None for label in modest.open(asked).labels[[1, 2, 5, 6, 7, 11]])
    assert lines[0] == f"{6 - known} tasks, 0 of them done"
    assert re.fullmatch(r"open http://127\.0\.0\.1:\d+/", lines[1])
    assert lines[-2] == f"next: modest labels add {asked}"
    assert lines[-1] == f"stopped; 0 answers came in, {6 - known} tasks are left"


def test_rounds_are_named_by_number_or_folder(shell, asked, visited):
    for name in ("1", "rounds/1", "rounds/1/"):
        assert shell("annotate", asked, name, "--port", "0").code == 0
    said = shell("annotate", asked, "2", "--port", "0")
    assert said.code == 2
    assert "round 2 is not in" in said.err
    said = shell("annotate", asked, "first", "--port", "0")
    assert said.err == "modest: ROUND 'first' is no round; write its number, as 1 or rounds/1.\n"
    assert "leave the ROUND out" in shell("annotate", asked, "1", "--whole").err


def test_labelled_items_and_all_items_on_demand(shell, asked, visited):
    told = json.loads(shell("annotate", asked, "--port", "0", "--relabel", "--json").out)
    assert (told["tasks"], told["new"], told["done"], told["token"]) == (6, 6, 0, None)
    assert told["next"] == f"modest labels add {asked}"
    told = json.loads(shell("annotate", asked, "--port", "0", "--whole", "--relabel", "--json").out)
    assert told["new"] == 18  # all of the training split


def test_a_pool_that_asks_nothing(shell, pictures, visited):
    said = shell("annotate", pictures, "--port", "0")
    assert said.code == 2
    assert f"choose items with: modest select {pictures} --budget 200" in said.err


def test_classes_and_a_name_for_all(shell, asked, visited):
    shell("annotate", asked, "--port", "0", "--class", "blue", "--class", "red", "--annotator", "me", "--multiple")
    text = visited["/"].text
    assert 'data-annotator="me"' in text
    assert re.findall(r'data-class="(\w+)"', text) == ["green", "red", "blue"]
    with Store(asked) as store:
        [task] = store.next("ada")
        store.answer(task.number, "ada", "label", ["blue"])
    told = json.loads(shell("labels", "add", asked, "--json").out)["reports"]["label"]
    assert (told["added"], told["unknown_classes"]) == (1, {})


def test_what_an_earlier_run_asked_of_all_items_is_not_asked_of_a_round(shell, asked, visited):
    rounds = json.loads(shell("annotate", asked, "--port", "0", "--json").out)["tasks"]
    whole = json.loads(shell("annotate", asked, "--port", "0", "--whole", "--json").out)
    assert whole["tasks"] == whole["new"]
    again = json.loads(shell("annotate", asked, "--port", "0", "--json", "--annotator", "me").out)
    assert (again["tasks"], again["new"]) == (rounds, 0)
    assert "Round 1" in visited["/"].text


def test_beyond_this_machine_a_token_is_made_up(shell, asked, visited):
    first = json.loads(shell("annotate", asked, "--host", "0.0.0.0", "--port", "0", "--json").out)
    second = json.loads(shell("annotate", asked, "--host", "0.0.0.0", "--port", "0", "--json").out)
    assert len(first["token"]) >= 32
    assert first["token"] != second["token"]
    assert first["address"].endswith(f"/?token={first['token']}")
    assert visited["/"].status_code == 403
    visited["/?token=our%20own%20long%20token"] = None
    said = shell("annotate", asked, "--host", "0.0.0.0", "--port", "0", "--token", "our own long token")
    assert "/?token=our%20own%20long%20token" in said.out
    assert "nothing is encrypted" in said.out
    assert visited["/?token=our%20own%20long%20token"].status_code == 200
    assert "12 or more" in shell("annotate", asked, "--host", "0.0.0.0", "--port", "0", "--token", "short").err


def test_wrong_numbers_and_hosts(shell, asked, visited):
    assert "redundancy is 0" in shell("annotate", asked, "--redundancy", "0").err
    assert "lease is 0" in shell("annotate", asked, "--lease", "0").err
    assert "cannot listen on no such host:0" in shell("annotate", asked, "--host", "no such host", "--port", "0").err
    assert "cannot listen on" in shell("annotate", asked, "--port", "70000").err
    assert "holds no pool" in shell("annotate", asked.parent / "nothing").err


@pytest.mark.parametrize("lacking", ["starlette", "uvicorn"])
def test_without_its_extra_it_names_it(shell, asked, monkeypatch, lacking):
    monkeypatch.setitem(sys.modules, lacking, None)
    said = shell("annotate", asked)
    assert said.err == f"modest: the page needs {lacking}; install it with: pip install 'modest[web]'\n"


def test_a_real_server_answers_and_stops_by_ctrl_c(asked):
    command = [sys.executable, "-u", "-m", "modest.cli", "annotate", str(asked), "--port", "0", "--annotator", "me"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(2)]
        address = re.search(r"http://\S+", lines[1])[0]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        text = browser.open(address).read().decode()
        token = re.search(r'name="csrf" content="(\w+)"', text)[1]
        body = json.dumps({"task": 1, "verdict": "unsure"}).encode()
        headers = {"content-type": "application/json", "x-csrf-token": token}
        told = browser.open(urllib.request.Request(f"{address}api/answer", body, headers))
        assert json.load(told) == {"said": 1}
        assert "server" not in {name.lower() for name in told.headers}
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0
    assert "stopped; 1 answers came in" in rest
