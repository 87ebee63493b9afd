"""`modest select` with quotas and costs, going on from an earlier round, and items that cannot be read."""

import json

import numpy as np
import pandas as pd
import pytest

import modest
from modest.selection import METHODS

N = 60
KIND = np.array(["cat", "dog", None], dtype=object)[np.random.default_rng(1).integers(3, size=N)]
MINUTES = np.random.default_rng(2).uniform(1.0, 5.0, size=N).round(1)


def source(rows, folder, name):
    """A table of some items, with features that depend on the item alone."""
    x = np.random.default_rng(7).normal(size=(2, N, 5)).astype(np.float32)
    x[1, 10:14] = np.nan
    frame = pd.DataFrame({"id": [f"n{k:02d}" for k in rows], "kind": KIND[rows], "minutes": MINUTES[rows]})
    frame.to_parquet(folder / f"{name}.parquet", index=False)
    np.savez(folder / f"{name}.npz", image=x[0][rows], text=x[1][rows])
    return folder / f"{name}.parquet", {m: f"{folder / name}.npz:{m}" for m in ("image", "text")}


def made(folder, rows, into, **options):
    table, views = source(rows, folder, into)
    return modest.ingest(table, folder / options.pop("pool", into), views=views, **options)


@pytest.fixture
def pool(tmp_path):
    return made(tmp_path, np.arange(N), "pool").path


def test_quotas_and_costs(shell, pool):
    said = shell(
        "select", pool, "--method", "random", "--cost", "minutes", "--total", 20, "--group-by", "kind",
        "--quota", "cat=2", "--quota", "=1", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    told = json.loads(said.out)
    rows = np.flatnonzero(np.isin([f"n{k:02d}" for k in range(N)], told["ids"]))
    assert told["spent"] == pytest.approx(MINUTES[rows].sum())
    assert told["spent"] <= told["total"] == 20
    assert (KIND[rows] == "cat").sum() == told["quotas"]["cat"][0] <= 2
    assert sum(kind is None for kind in KIND[rows]) <= 1, "items without a value are a group of their own"
    assert told["ended"] == "total"
    trace = modest.open(pool).rounds[0].manifest["trace"]
    assert {name: trace[name] for name in ("spent", "quotas", "ended")} == {
        name: told[name] for name in ("spent", "quotas", "ended")
    }


def test_the_screen_says_what_was_spent_and_why_it_ended(shell, pool):
    said = shell("select", pool, "--method", "kcenter", "--cost", "minutes", "--total", 15, "--budget", 30)
    assert said.code == 0, said.err
    assert "of 15\n" in said.out
    assert "no free item fits what is left" in said.out
    said = shell("select", pool, "--method", "random", "--group-by", "kind", "--quota", 3, "--budget", 9)
    assert "quotas: " in said.out
    for name in ("cat 3 of 3", "dog 3 of 3"):
        assert name in said.out
    assert "'' 3 of 3" in said.out, "items without a value"
    assert "used up" not in said.out, "the budget was met"
    said = shell("select", pool, "--method", "random", "--cost", "minutes", "--total", 1000)
    assert "no free item is left" in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--budget is missing; give items (200), a share (0.01), or --cost with --total"),
        (["--quota", "3", "--group-by", "kind"], "--budget is missing"),
        (["--budget", "3", "--quota", "3"], "--quota and --group-by go together"),
        (["--budget", "3", "--group-by", "kind"], "--quota and --group-by go together"),
        (["--budget", "3", "--cost", "minutes"], "--cost and --total go together"),
        (["--budget", "3", "--group-by", "sort", "--quota", "3"], "--group-by='sort' is unknown; known: id, kind"),
        (["--cost", "price", "--total", "3"], "--cost='price' is unknown"),
        (["--cost", "kind", "--total", "3"], "costs is nan at row 0 (id n00)"),
        (["--cost", "minutes", "--total", "0.5"], "total=0.5 is below the cheapest free row"),
        (["--budget", "3", "--group-by", "kind", "--quota", "cat=x"], "'cat=x' cannot be read; write GROUP=N"),
        (["--budget", "3", "--group-by", "kind", "--quota", "3", "--quota", "cat=1"], "'3' is for every group"),
        (["--budget", "3", "--group-by", "kind", "--quota", "cow=1"], "quotas names the group 'cow'"),
        (["--budget", "9", "--group-by", "kind", "--quota", "1"], "quotas let at most 3 free rows be chosen"),
    ],
)
def test_bad_limits_are_one_sentence_and_write_nothing(shell, pool, words, said):
    end = shell("select", pool, *words)
    assert end.code == 2
    assert said in end.err
    assert len(end.err.splitlines()) == 1
    assert not end.out
    assert modest.open(pool).rounds == ()


@pytest.mark.parametrize("method", [name for name, entry in METHODS.items() if entry.increments])
def test_after_an_append_the_next_choice_costs_new_rows_alone_and_is_the_one_of_python(shell, tmp_path, method):
    made(tmp_path, np.arange(40), "old", pool="grown")
    first = json.loads(shell("select", tmp_path / "grown", "-m", method, "-b", 6, "--json").out)
    state = modest.open(tmp_path / "grown").rounds[0].state
    assert state, "the round remembers"
    table, views = source(np.arange(40, N), tmp_path, "new")
    words = [word for name, place in views.items() for word in ("--view", f"{name}={place}")]
    assert shell("ingest", table, "--into", tmp_path / "grown", "--append", *words).code == 0
    second = json.loads(shell("select", tmp_path / "grown", "-m", method, "-b", 8, "--json").out)
    assert second["reused"] > 0
    assert any(name >= "n40" for name in second["ids"]), "new items are offered"

    whole = modest.open(tmp_path / "grown")
    before = {"since": state} if method == "auto" else {}  # auto keeps its space, the others choose as from scratch
    python = modest.select(whole.views(), 8, method, taken=np.isin(whole.ids, first["ids"]), **before)
    assert second["ids"] == python.ids.tolist()
    assert before or not python.trace.get("reused")


@pytest.mark.parametrize("method", [name for name, entry in METHODS.items() if entry.increments])
def test_what_does_not_fit_is_computed_anew_and_the_trace_says_so(shell, pool, method):
    first = json.loads(shell("select", pool, "-m", method, "-b", 6, "--json").out)
    opened = modest.open(pool)
    views = opened.path / "views" / "image" / "given.npy"
    x = np.load(views)
    np.save(views, x[::-1])
    second = json.loads(shell("select", pool, "-m", method, "-b", 4, "--json").out)
    assert second["reused"] == 0
    trace = modest.open(pool).rounds[1].manifest["trace"]
    assert "look different" in trace["reuse_refused"]
    scratch = modest.select(modest.open(pool).views(), 4, method, taken=np.isin(opened.ids, first["ids"]))
    assert second["ids"] == scratch.ids.tolist()


def test_items_of_which_nothing_can_be_read_are_no_candidates(tmp_path):
    from modest.data.candidates import candidates

    pool = made(tmp_path, np.arange(N), "pool")
    pool.add({"n03": "a", "n11": "b"})
    mask = np.ones(N, dtype=bool)
    mask[[3, 4, 5]] = False
    for name in ("image", "text"):
        np.save(pool.path / "views" / name / "given.present.npy", mask)
    rows, taken, silent = candidates(modest.open(pool.path))
    assert rows.tolist() == np.flatnonzero(mask).tolist()
    assert rows[taken].tolist() == [11]
    assert silent == 2, "the labelled one is not missed"
