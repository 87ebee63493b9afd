"""``modest pair``: choosing, answering by hand and by file, oddities, bad input, a kill at every step, streams."""

import io
import json
import tarfile

import numpy as np
import pandas as pd
import pytest

import modest
from modest.data import pairs as stored
from modest.data.files import read_table
from modest.rounds.answers import answer
from modest.rounds.asking import ask
from modest.rounds.book import ledger, pending
from modest.rounds.streaming import ask_stream
from modest.training import Plan
from tests.killing import in_fork

N = 40


def make(folder, seed=0, **more):
    """An unpaired pool of 40 pictures and texts in one space, and {id: id of its partner}."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(N, 6)).astype(np.float32)
    text = (image + 0.3 * rng.normal(size=(N, 6))).astype(np.float32)
    words = np.array([f"a thing numbered {k}" for k in range(N)])
    items = {"image": image, "text": text, "split": ["test" if k >= 36 else "train" for k in range(N)]}
    pool = modest.ingest({**items, **more}, folder, unpair=("image", "text"))
    frame = pool.table
    frame["text"] = [
        words[k % N] if name.startswith("text") or "-" not in name else None for k, name in enumerate(frame["id"])
    ]
    pool.save()
    truth = read_table(folder / "truth.parquet")
    partner = dict(zip(truth["id_a"], truth["id_b"]))
    return modest.open(folder), partner | {b: a for a, b in partner.items()}


@pytest.fixture
def pool(tmp_path):
    return make(tmp_path / "pool")[0]


@pytest.fixture
def partner(pool):
    truth = read_table(pool.path / "truth.parquet")
    partner = dict(zip(truth["id_a"], truth["id_b"]))
    return partner | {b: a for a, b in partner.items()}


def tasks_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def fill(path, said):
    """Answer tasks by a mapping id -> answer, or a function of the id; others are left empty."""
    told = said if callable(said) else said.get
    lines = [{**task, "answer": told(task["id"])} for task in tasks_of(path)]
    path.write_text("".join(json.dumps(task) + "\n" for task in lines))
    return path


def chosen(shell, pool, *more):
    said = shell("pair", "choose", pool.path, "--json", *more)
    assert said.code == 0, said.err
    return json.loads(said.out)


def added(shell, pool, path, *more):
    said = shell("pair", "add", pool.path, path, "--json", *more)
    assert said.code == 0, said.err
    return json.loads(said.out)


# the whole way


def test_three_rounds_of_questions_and_answers(shell, pool, partner):
    asked, truth = set(), partner
    for number in (1, 2, 3):
        told = chosen(shell, pool, "--budget", "5", "--candidates", "12")
        assert (told["round"], told["asked"], told["method"]) == (number, 5, "acquire")
        ids = [name for query in told["queries"] for name in query["ids"]]
        assert not asked & set(ids)
        asked |= set(ids) | {truth[name] for name in ids}
        path = pool.path / "rounds" / str(number) / "tasks.jsonl"
        assert told["tasks"] == str(path)
        assert told["next"].startswith(f"modest pair add {pool.path} {path}")
        taken = added(shell, pool, fill(path, truth.get))
        assert (taken["answers"], taken["pairs"], taken["cost"], taken["flags"], taken["waits"]) == (5, 5, 5.0, [], 0)
        assert taken["next"] == f"modest pair train {pool.path}"
    table = stored.read_pairs(pool.path)
    assert len(table) == 15
    assert all(truth[a] == b for a, b in zip(table["id_a"], table["id_b"]))
    _, rows = stored.sides(pool)
    assert stored.bought(pool, rows)[("image", "text")].shape == (15, 2)
    assert len(ledger(pool).pairs) == 15 + 4  # and the pairs of the test split
    again = chosen(shell, pool, "--budget", "5")
    assert again["free"] == {"image": 21, "text": 21}


def test_the_same_choice_by_hand(pool):
    """The command asks what the room asks of the same sides."""
    from modest.pairing import choose

    sides, _ = stored.sides(pool)
    arrays = {name: side.arrays[name] for name, side in sides.items()}
    want = choose(arrays, None, 6, "acquire", candidates=20, ids={n: s.ids for n, s in sides.items()}, seed=3)
    got = ask(pool, 6, "acquire", candidates=20, seed=3).queries
    assert [q.ids.tolist() for q in got] == [q.ids.tolist() for q in want]
    assert [q.shortlists.tolist() for q in got] == [q.shortlists.tolist() for q in want]


def test_truth_is_never_read(pool, monkeypatch):
    before = ask(pool, 6).queries[0].ids.tolist()
    (pool.path / "truth.parquet").unlink()
    import shutil

    shutil.rmtree(pool.path / "rounds")
    assert ask(modest.open(pool.path), 6).queries[0].ids.tolist() == before


def test_a_task_says_what_a_person_needs(shell, pool):
    told = chosen(shell, pool, "--budget", "4", "--side", "text", "--cost", "text:image=2.5", "--shortlist", "3")
    (query,) = told["queries"]
    assert (query["modality"], query["target"]) == ("text", "image")
    tasks = tasks_of(pool.path / "rounds" / "1" / "tasks.jsonl")
    raw = dict(zip(pool.ids, pool.table["text"]))
    assert [task["id"] for task in tasks] == query["ids"]
    for task in tasks:
        assert task["shown"] == raw[task["id"]]
        assert (task["side"], task["target"], task["answer"], task["cost"], task["round"]) == (
            "text",
            "image",
            None,
            2.5,
            1,
        )
        assert len(task["shortlist"]) == 3
        assert "suggested" not in task
    told = chosen(shell, pool, "--budget", "4", "--side", "image")
    task = tasks_of(pool.path / "rounds" / "2" / "tasks.jsonl")[0]
    assert task["shown_list"] == [raw[name] for name in task["shortlist"]]
    assert told["waiting"] == 4
    table = stored.asked(pool.path)
    assert table["cost"].tolist() == [2.5] * 4 + [1.0] * 4


def test_text_output_names_the_next_command(shell, pool, partner):
    said = shell("pair", "choose", pool.path, "--budget", "3")
    assert said.code == 0, said.err
    assert "3 of 36 free rows of" in said.out
    assert said.out.splitlines()[-1].startswith(f"next: modest pair add {pool.path}")
    path = fill(pool.path / "rounds" / "1" / "tasks.jsonl", partner.get)
    said = shell("pair", "add", pool.path, path)
    assert "3 answers: 3 new pairs, 0 without partner, 0 skipped" in said.out
    assert "no question waits for an answer" in said.out
    assert said.out.splitlines()[-1] == f"next: modest pair train {pool.path}"


# answers of every kind


def test_none_of_these_empty_lines_and_several_partners(shell, pool, partner):
    chosen(shell, pool, "--budget", "5", "--side", "image")
    path = pool.path / "rounds" / "1" / "tasks.jsonl"
    a, b, c, d, e = [task["id"] for task in tasks_of(path)]
    spare = next(
        name for name in pool.ids if name.startswith("text-") and name not in map(partner.get, (a, b, c, d, e))
    )
    taken = added(shell, pool, fill(path, {a: partner[a], b: [partner[b], spare], c: [], d: "None of these"}))
    assert {k: taken[k] for k in ("answers", "pairs", "no_match", "skipped", "unanswered", "waits")} == {
        "answers": 4, "pairs": 3, "no_match": 2, "skipped": 0, "unanswered": 1, "waits": 1,
    }  # fmt: skip
    table = stored.read_pairs(pool.path)
    assert table["id_b"].tolist()[:3] == [partner[a], partner[b], spare]
    assert table["id_b"].isna().tolist() == [False, False, False, True, True]
    assert table["answer"].tolist() == [0, 1, 1, 2, 3]
    assert table["cost"].sum() == taken["cost"] == 4.0
    free = ask(pool, 1, method="random").free
    assert free == {"image": 36 - 5, "text": 36 - 3}  # c and d are rejected, e waits
    late = added(shell, pool, path, "--skip-rest")
    assert (late["answers"], late["skipped"], late["cost"]) == (1, 1, 0.0)
    assert e not in pending(pool)["id"].tolist()
    assert ask(pool, 1, method="random").free["image"] + len(pending(pool)) >= 36 - 4


def test_none_of_these_may_mean_that_nobody_knows(shell, pool):
    chosen(shell, pool, "--budget", "2", "--side", "image")
    path = fill(pool.path / "rounds" / "1" / "tasks.jsonl", lambda name: "none of these")
    taken = added(shell, pool, path, "--none", "skipped")
    assert (taken["no_match"], taken["skipped"], taken["cost"], taken["waits"]) == (0, 2, 2.0, 0)
    assert chosen(shell, pool, "--budget", "1")["free"]["image"] == 36


def test_what_was_skipped_is_asked_again_and_waits_again(pool):
    way = {"method": "random", "directions": [("image", "text")]}
    first = ask(pool, 36, **way)
    assert len(pending(pool)) == 36
    assert answer(pool, first.tasks, rest=True).skipped == 36
    assert pending(pool).empty
    second = ask(pool, 36, **way)
    assert pending(pool)["round"].tolist() == [2] * 36
    assert answer(pool, fill(second.tasks, lambda name: [])).no_match == 36
    assert stored.read_pairs(pool.path)["round"].tolist() == [1] * 36 + [2] * 36


def test_a_csv_will_do(shell, pool, partner, tmp_path):
    chosen(shell, pool, "--budget", "4", "--side", "image")
    a, b, c, d = [task["id"] for task in tasks_of(pool.path / "rounds" / "1" / "tasks.jsonl")]
    other = next(name for name in pool.ids if name.startswith("text-") and name != partner[b])
    lines = [
        "\ufeffid,match,annotator,cost",
        f"{a},{partner[a]},Ann,3",
        f"{b},{partner[b]}|{other},,",
        f"{c},None of these,,",
        f"{d},,,",
    ]
    path = tmp_path / "said.csv"
    path.write_text("\r\n".join(lines), encoding="utf-8")
    taken = added(shell, pool, path)
    assert (taken["answers"], taken["pairs"], taken["no_match"], taken["unanswered"], taken["cost"]) == (
        3,
        3,
        1,
        1,
        5.0,
    )
    assert stored.read_pairs(pool.path)["annotator"].tolist()[:2] == ["Ann", ""]


def test_reading_a_file_twice_changes_nothing(shell, pool, partner):
    chosen(shell, pool, "--budget", "6")
    path = fill(pool.path / "rounds" / "1" / "tasks.jsonl", partner.get)
    added(shell, pool, path)
    before = (pool.path / "pairs.parquet").read_bytes()
    again = added(shell, pool, path)
    assert (again["answers"], again["pairs"], again["cost"], again["flags"]) == (0, 0, 0.0, [])
    assert (pool.path / "pairs.parquet").read_bytes() == before


def test_one_query_answered_in_two_ways_is_kept_flagged_and_reported(shell, pool, partner):
    chosen(shell, pool, "--budget", "3", "--side", "image")
    path = fill(pool.path / "rounds" / "1" / "tasks.jsonl", partner.get)
    a, b, c = [task["id"] for task in tasks_of(path)]
    added(shell, pool, path)
    wrong = next(n for n in pool.ids if n.startswith("text-") and n not in map(partner.get, (a, b, c)))
    said = shell("pair", "add", pool.path, fill(path, {a: wrong, b: partner[c], c: partner[c]}))
    assert said.code == 0, said.err
    assert f"odd, and kept: image '{a}' was answered in two ways; both are kept." in said.out
    assert f"text '{partner[c]}', partner of image '{b}', was in a pair already" in said.out
    table = stored.read_pairs(pool.path)
    assert table.loc[table["id_a"] == a, "id_b"].tolist() == [partner[a], wrong]
    assert len(table) == 5
    _, rows = stored.sides(pool)
    assert len(stored.bought(pool, rows)[("image", "text")]) == 5
    # in one file, too
    chosen(shell, pool, "--budget", "1", "--side", "text")
    path = pool.path / "rounds" / "2" / "tasks.jsonl"
    (task,) = tasks_of(path)
    path.write_text("".join(json.dumps({**task, "answer": said}) + "\n" for said in ([], partner[task["id"]])))
    told = added(shell, pool, path)
    assert (told["answers"], told["pairs"], told["no_match"]) == (2, 1, 1)
    assert told["flags"] == [f"text '{task['id']}' was answered in two ways; both are kept."]


# what is refused


def refused(shell, pool, line, *words):
    """An answer that is refused in one sentence, whatever was right before it, and nothing is written."""
    path = pool.path / "rounds" / "1" / "tasks.jsonl"
    first = tasks_of(path)[0]
    good = {**first, "answer": []}
    bad = line if isinstance(line, str) else json.dumps({**first, **line})
    said_path = pool.path.parent / "said.jsonl"
    said_path.write_text(json.dumps(good) + "\n" + bad + "\n")
    said = shell("pair", "add", pool.path, said_path)
    assert said.code == 2
    assert said.err.startswith("modest: ")
    assert said.err.count("\n") == 1
    for word in words:
        assert word in said.err, said.err
    assert not (pool.path / "pairs.parquet").exists()
    assert not list(pool.path.glob(".*"))


def test_answers_that_cannot_be_are_refused_whole(shell, pool):
    chosen(shell, pool, "--budget", "3", "--side", "image")
    asked = {task["id"] for task in tasks_of(pool.path / "rounds" / "1" / "tasks.jsonl")}
    other = next(name for name in pool.ids.tolist() if name.startswith("image-") and name not in asked)
    test_row = next(name for name, split in zip(pool.ids.tolist(), pool.split) if split == "test")
    refused(shell, pool, {"id": other, "answer": []}, "said.jsonl line 2 answers", other, "was not asked")
    refused(shell, pool, {"round": 7, "answer": []}, "was not asked as image for text in round 7")
    refused(
        shell, pool, {"side": "text", "target": "image", "answer": []}, "was not asked as text for image in round 1"
    )
    refused(shell, pool, {"answer": "text-999"}, "line 2 names 'text-999', which is no id of the pool")
    refused(shell, pool, {"answer": other}, f"names {other!r}, which has no text")
    refused(shell, pool, {"answer": test_row}, f"names {test_row!r} of split test, outside the rows that were asked")
    refused(shell, pool, {"answer": [], "cost": "dear"}, "has the cost 'dear'; write a number")
    refused(shell, pool, {"answer": [], "cost": -1, "annotator": "b"}, "costs -1.0; a cost is 0 or more")
    refused(shell, pool, "{", "line 2 is no JSON")
    refused(shell, pool, "[]", "line 2 is no task")
    refused(shell, pool, '{"answer": []}', "line 2 has no 'id'")


def test_files_that_cannot_be_read(shell, pool, tmp_path):
    nothing = shell("pair", "add", pool.path, tmp_path / "a.jsonl")
    assert "has asked for no pair yet; run: modest pair choose" in nothing.err
    chosen(shell, pool, "--budget", "1")
    for name in ("a.jsonl", "a.csv"):
        assert "is not there" in shell("pair", "add", pool.path, tmp_path / name).err
    for name in ("a.jsonl", "a.csv"):
        (tmp_path / name).write_bytes(b"\x89PNG id,match")
        said = shell("pair", "add", pool.path, tmp_path / name)
        assert (said.code, f"{tmp_path / name}" in said.err, "is no UTF-8 text; save" in said.err) == (2, True, True)
    (tmp_path / "a.csv").write_text("id,partner\n1,2\n")
    assert (
        "has the columns id, partner; it needs id and match" in shell("pair", "add", pool.path, tmp_path / "a.csv").err
    )
    assert "--none" in shell("pair", "add", pool.path, tmp_path / "a.csv", "--none", "maybe").err


def test_questions_that_cannot_be_are_refused(shell, pool, tmp_path):
    def says(*more):
        said = shell("pair", "choose", *more)
        assert said.code == 2
        assert said.err.count("\n") == 1
        assert not (pool.path / "rounds").exists() or not list((pool.path / "rounds").iterdir())
        return said.err

    assert "budget=73 asks for 73 items but only 72 rows are free" in says(pool.path, "--budget", "73")
    assert "--budget 'many' is no number" in says(pool.path, "--budget", "many")
    assert "candidates" in says(pool.path, "--budget", "10", "--candidates", "5")
    assert "--side 'sound' is no side; " in says(pool.path, "--budget", "3", "--side", "sound")
    assert "--cost 'image' must look like" in says(pool.path, "--budget", "3", "--cost", "image=2")
    assert "method" in says(pool.path, "--budget", "3", "--method", "magic")
    assert "no such knob" in says(pool.path, "--budget", "3", "--method", "random", "--candidates", "9")
    assert "takes one pool" in says(pool.path, pool.path, "--budget", "3")
    assert "takes one pool" in says(pool.path, "--budget", "3", "--encoder", "image=pixels")
    assert "'other' is unknown" in says(pool.path, "--budget", "3", "--split", "other")
    assert "its knobs: noise" not in says(pool.path, "--budget", "3", "--method", "random", "--knob", "noise=1")
    assert "its knobs: views, noise, sample." in says(pool.path, "--budget", "3", "--knob", "outlier_guard=true")
    assert "shortlist=-1 is below 0" in says(pool.path, "--budget", "3", "--shortlist", "-1")
    assert "no view image=clip" in says(pool.path, "--budget", "3", "--views", "image=clip,text=given")
    one = modest.ingest({"image": np.eye(3)}, tmp_path / "one")
    assert "a view of image alone" in says(one.path, "--budget", "1")
    paired = modest.ingest({"image": np.eye(3), "text": np.eye(3)}, tmp_path / "paired")
    assert "no row is free" in says(paired.path, "--budget", "1")


def test_sides_of_different_width_need_a_model_or_a_method_that_does_not_compare(shell, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"image": rng.normal(size=(30, 5)), "text": rng.normal(size=(30, 7))}
    pool = modest.ingest(arrays, tmp_path / "pool", unpair=("image", "text"))
    said = shell("pair", "choose", pool.path, "--budget", "3", "--method", "acquire")
    assert said.code == 2
    assert "no common space (image 5, text 7 features); choose by auto" in said.err
    told = chosen(shell, pool, "--budget", "3")
    assert (told["method"], told["asked"], told["queries"][0]["margins"]) == ("auto", 3, [None] * 3)
    assert chosen(shell, pool, "--budget", "3", "--method", "random")["asked"] == 3
    said = shell("pair", "choose", pool.path, "--budget", "3")
    assert "no shortlists: the views have no common space yet" in said.out
    assert "nan" not in said.out


def test_auto_unless_an_option_of_the_three_steps_is_given(shell, pool):
    told = chosen(shell, pool, "--budget", "2")
    assert (told["method"], told["queries"][0]["trace"]["method"]) == ("auto", "auto")
    for more in (("--candidates", "8"), ("--rule", "radius"), ("--uncertainty", "entropy"), ("--side", "text")):
        told = chosen(shell, pool, "--budget", "2", *more)
        assert (told["method"], told["queries"][0]["trace"]["method"]) == ("acquire", "acquire")
    assert chosen(shell, pool, "--budget", "2", "--side", "text", "--method", "auto")["method"] == "auto"
    assert chosen(shell, pool, "--budget", "2", "--rule", "radius", "--method", "acquire")["method"] == "acquire"
    said = shell("pair", "choose", pool.path, "--budget", "2")
    assert "chosen by auto" in said.out
    by = [stored.read_queries(one)["method"].unique().tolist() for one in stored.query_rounds(pool.path)]
    assert by == [["auto"], *[["acquire"]] * 4, ["auto"], ["acquire"], ["auto"]]


def test_a_budget_beyond_one_side_says_what_is_left(shell, pool):
    said = shell("pair", "choose", pool.path, "--budget", "50", "--method", "coreset")
    assert said.code == 0, said.err
    assert "36 of 36 free rows of" in said.out
    assert "14 of the budget are left: coreset asks one side a round" in said.out
    assert "of the budget are left" not in shell("pair", "choose", pool.path, "--budget", "5").out


def test_a_model_makes_the_common_space(shell, tmp_path):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(40, 4))
    arrays = {"image": hidden @ rng.normal(size=(4, 5)), "text": hidden @ rng.normal(size=(4, 7))}
    whole = modest.ingest(arrays, tmp_path / "whole")
    model = modest.representation.pretrain(whole, plan=Plan(epochs=1), width=6, seed=0).result
    model.save(tmp_path / "model")
    pool = modest.ingest(arrays, tmp_path / "pool", unpair=("image", "text"))
    both = shell("pair", "choose", pool.path, "--budget", "3", "--model", tmp_path / "model", "--views", "image=given")
    assert (both.code, "give one of the two" in both.err) == (2, True)
    told = chosen(shell, pool, "--budget", "3", "--model", tmp_path / "model")
    assert told["asked"] == 3
    sides, _ = stored.sides(pool)
    from modest.pairing import choose

    space = {
        name: model.encode(pool, np.flatnonzero(np.isin(pool.ids, side.ids))).arrays[name]
        for name, side in sides.items()
    }
    want = choose(space, None, 3, "auto", ids={name: side.ids for name, side in sides.items()})
    assert [q["ids"] for q in told["queries"]] == [q.ids.tolist() for q in want]


# killed


def test_a_killed_add_leaves_the_pairs_as_they_were_or_all_of_them(tmp_path):
    pool, truth = make(tmp_path / "pool")
    for _ in range(2):
        asking = ask(pool, 5)
        path = fill(asking.tasks, truth.get)
        if asking.number == 1:
            answer(pool, path)
    before = stored.read_pairs(pool.path)
    status, (steps, _) = in_fork(pool.path, lambda: None)
    assert (status, steps) == (0, [])
    killed = []
    whole = None
    for k in range(20):
        saved = (pool.path / "pairs.parquet").read_bytes()
        status, told = in_fork(pool.path, lambda: answer(modest.open(pool.path), path), k)
        if status == 0:
            assert k == 2, told
            break
        assert status == 9
        killed.append(told[0])
        now = stored.read_pairs(pool.path)
        assert len(now) in (5, 10)
        pd.testing.assert_frame_equal(now.iloc[:5], before)
        assert len(ledger(modest.open(pool.path)).pairs) == len(now) + 4
        taken = answer(modest.open(pool.path), path)  # the lock went with the process
        assert taken.answers == 10 - len(now)
        done = stored.read_pairs(pool.path)
        whole = done if whole is None else whole
        pd.testing.assert_frame_equal(done, whole)
        (pool.path / "pairs.parquet").write_bytes(saved)
    assert "os.rename .pairs.parquet.partial" in killed


def test_a_killed_choose_writes_no_round_or_a_whole_one(tmp_path):
    pool, _ = make(tmp_path / "pool")
    for k in range(40):
        status, _ = in_fork(pool.path, lambda: ask(modest.open(pool.path), 3, method="random"), k)
        rounds = stored.query_rounds(pool.path)
        for one in rounds:
            assert {p.name for p in one.path.iterdir()} == {"query.parquet", "tasks.jsonl", "manifest.json"}
            assert len(tasks_of(one.path / "tasks.jsonl")) == 3
        if status == 0:
            assert k > 5
            break
        assert len(rounds) <= 1
        for one in rounds:
            import shutil

            shutil.rmtree(one.path)
    assert ask(pool, 3, method="random").number == 2


# streams


def shard(path, first, count, texts=True):
    from PIL import Image

    rng = np.random.default_rng(first)
    with tarfile.open(path, "w") as tar:
        for n in range(first, first + count):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(buffer, "JPEG")
            members = {f"{n:04d}.jpg": buffer.getvalue(), f"{n:04d}.txt": f"a thing numbered {n}".encode()}
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


STREAM = (
    "--stream",
    "--budget",
    "3",
    "--buffer",
    "10",
    "--encoder",
    "image=pixels?size=8",
    "--encoder",
    "text=hashed-text?width=216",
)


def test_a_stream_becomes_a_file_of_tasks_per_buffer(shell, tmp_path):
    for k in range(2):
        shard(tmp_path / f"{k:02d}.tar", 12 * k, 12)
    said = shell("pair", "choose", tmp_path / "{00..01}.tar", "--into", tmp_path / "tasks", *STREAM, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert [one["tasks"] for one in told["files"]] == [3, 3, 3]
    assert [one["seen"] for one in told["files"]] == [20, 40, 48]
    asked = set()
    for number, one in enumerate(told["files"], start=1):
        tasks = tasks_of(tmp_path / "tasks" / f"tasks-{number:06d}.jsonl")
        assert one["path"].endswith(f"tasks-{number:06d}.jsonl")
        for task in tasks:
            assert task["round"] == number
            picture, words = (task["shown"], task["shown_list"][0])
            if task["side"] == "text":
                picture, words = words, picture
            assert ".tar!" in picture
            assert words.startswith("a thing numbered")
            asked.add((task["side"], task["id"]))
    assert len(asked) == 9


def test_a_truncated_shard_keeps_the_tasks_before_it(shell, tmp_path):
    shard(tmp_path / "00.tar", 0, 12)
    whole = shard(tmp_path / "01.tar", 12, 12).read_bytes()
    (tmp_path / "01.tar").write_bytes(whole[: len(whole) // 2])
    said = shell("pair", "choose", tmp_path / "00.tar", tmp_path / "01.tar", "--into", tmp_path / "tasks", *STREAM)
    assert said.code == 2
    assert "01.tar" in said.err
    assert [p.name for p in (tmp_path / "tasks").iterdir()] == ["tasks-000001.jsonl"]


def test_a_stream_says_what_it_lacks(shell, tmp_path):
    shard(tmp_path / "00.tar", 0, 12)
    one = ("pair", "choose", tmp_path / "00.tar", "--stream", "--budget", "3")
    assert "name their folder by --into" in shell(*one).err
    assert "raw and has no encoder" in shell(*one, "--into", tmp_path / "a").err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "is not empty" in shell(*one, "--into", tmp_path / "full").err
    assert "--side 'sound' is no side" in shell(*one, "--into", tmp_path / "b", "--side", "sound").err


def test_ready_vectors_of_a_table_need_no_encoder(shell, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"n{k}" for k in range(24)]})
    frame["a"] = list(rng.normal(size=(24, 4)).astype(np.float32))
    frame["b"] = list(rng.normal(size=(24, 4)).astype(np.float32))
    frame.to_parquet(tmp_path / "s.parquet")
    fields = ("--field", "image=a", "--field", "text=b")
    one = ("pair", "choose", tmp_path / "s.parquet", "--stream", "--into", tmp_path / "t", "--budget", "2", *fields)
    said = shell(*one, "--buffer", "12", "--side", "text", "--json")
    assert said.code == 0, said.err
    assert [one["modality"] for one in json.loads(said.out)["files"]] == ["text", "text"]


def test_what_was_asked_in_a_buffer_is_covered_in_the_next(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    frame = pd.DataFrame({"id": [f"n{k:02d}" for k in range(24)], "a": [*vectors, *vectors], "b": [*vectors, *vectors]})
    frame.to_parquet(tmp_path / "s.parquet")
    fields = {"image": "a", "text": "b"}
    knobs = {"method": "coreset", "directions": [("image", "text")], "buffer": 12}
    told = list(ask_stream([tmp_path / "s.parquet"], tmp_path / "t", 4, fields, {}, **knobs))
    first, second = ({int(task["id"][-2:]) % 12 for task in tasks_of(one.path)} for one in told)
    assert len(first) == len(second) == 4
    assert not first & second


def test_help_of_every_command_has_an_example(shell):
    for name in ("choose", "add", "train"):
        assert "Example: modest pair" in shell("pair", name, "--help").out
