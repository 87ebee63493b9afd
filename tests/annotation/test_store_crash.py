"""The store when it is killed, when the disk is full, and when several processes write at once."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from modest.annotation.store import Store
from tests.annotation.test_store import bare, tasks

# argv: pool, name of the process, threads, redundancy. Every answer is told on the way out once it is acknowledged.
WORK = """
import os, sys, threading
from modest.annotation.store import Store

store = Store(sys.argv[1], redundancy=int(sys.argv[4]))

def work(who):
    while found := store.next(who, count=2):
        key = f"{found[0].number} by {who}"
        one = store.answer(found[0].number, who, "label", [who], key=key)
        os.write(1, f"{one.number} {one.task} {who}\\n".encode())

threads = [threading.Thread(target=work, args=(f"{sys.argv[2]}{k}",)) for k in range(int(sys.argv[3]))]
[one.start() for one in threads]
[one.join() for one in threads]
"""


def start(pool, name, threads, redundancy=1):
    told = [sys.executable, "-c", WORK, str(pool), name, str(threads), str(redundancy)]
    return subprocess.Popen(told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)


def acknowledged(told):
    """(number, task, annotator) of every whole line."""
    lines = told.decode().split("\n")[:-1]
    return [(int(number), int(task), who) for number, task, who in (line.split() for line in lines)]


def is_sound(path):
    """The file is whole, and everything the store counts is what its answers say."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        rounds = dict(connection.execute("SELECT number, round FROM task"))
        stands = {}
        for number, task, who, verdict in connection.execute(
            "SELECT number, task, annotator, verdict FROM said ORDER BY number"
        ):
            stands.pop((task, who), None)
            if verdict != "undone":
                stands[task, who] = (number, verdict)
        kept = {(task, who): (said, verdict) for task, who, said, verdict in
                connection.execute("SELECT task, annotator, said, verdict FROM standing")}  # fmt: skip
        assert kept == stands
        answers = Counter(task for (task, _), (_, verdict) in stands.items() if verdict != "skip")
        told = dict(connection.execute("SELECT number, answers FROM task"))
        assert told == {number: answers[number] for number in rounds}
        tally = Counter((rounds[number], "label", count) for number, count in told.items())
        rows = connection.execute("SELECT round, kind, answers, tasks FROM tally WHERE tasks <> 0")
        assert {(a, b, c): d for a, b, c, d in rows} == tally
        people = Counter((rounds[task], who, verdict) for (task, who), (_, verdict) in stands.items())
        rows = connection.execute("SELECT round, annotator, verdict, answers FROM people WHERE answers <> 0")
        assert {(a, b, c): d for a, b, c, d in rows} == people
    finally:
        connection.close()


@pytest.fixture
def pool(tmp_path):
    return bare(tmp_path / "pool")


def test_what_was_acknowledged_survives_sigkill(pool):
    with Store(pool) as store:
        store.add(tasks(20_000))
        path = store.path
    told = []
    for k in range(6):
        process = start(pool, f"kill{k}-", 4)
        first = process.stdout.read(1)  # it answers; from here on a moment that differs each time
        time.sleep(0.03 * k)
        process.send_signal(signal.SIGKILL)
        told += acknowledged(first + process.stdout.read())
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        with Store(pool) as store:  # restarted: what was said is there, and it goes on
            said = store.said(limit=10**6)
            assert store.progress().answers == len(said)
        there = {(one.number, one.task, one.annotator) for one in said}
        assert set(told) <= there
        assert len({one.task for one in said}) == len(said)  # one answer was wanted: none came twice
        is_sound(path)
    assert len(told) > 20


def test_several_processes_share_the_work(pool):
    with Store(pool, redundancy=2) as store:
        store.add(tasks(80))
    running = [start(pool, f"process{k}-", 3, redundancy=2) for k in range(3)]
    told = []
    for process in running:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error.decode()
        told += acknowledged(out)
    with Store(pool, redundancy=2) as store:
        found = list(store.standing())
        assert store.progress().done == 80
        assert sorted(told) == sorted((one.number, one.task, one.annotator) for one in store.said(limit=1000))
    assert all(len({one.annotator for one in said}) == len(said) == 2 for _, said in found)
    is_sound(store.path)


def test_a_full_disk_is_one_sentence_and_the_store_goes_on_when_there_is_room(pool):
    with Store(pool) as store:
        store.add(tasks(4000))
        pages = store._write(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
        store._write._connection.execute(f"PRAGMA max_page_count = {pages + 4}")
        said = []
        with pytest.raises(OSError, match=r"annotations\.sqlite: the disk is full; free some space"):  # noqa: PT012
            while len(said) < 4000:
                said.append(store.answer(len(said) + 1, "ada", "label", ["x" * 200]))
        assert said
        for ask in (
            lambda: store.answer(4000, "ada", "label", ["x" * 200]),
            lambda: store.add(tasks(4000, number=2)),
            lambda: [store.add_class(f"{k} " + "x" * 190, "ada") for k in range(400)],
        ):
            with pytest.raises(OSError, match="the disk is full"):
                ask()
        assert store.said(limit=5000) == said
        assert store.progress().answers == len(said)
        assert len(store.tasks([2], limit=10**5)) == 0
        is_sound(store.path)
        store._write._connection.execute("PRAGMA max_page_count = 1000000")
        said.append(store.answer(len(said) + 1, "ada", "label", ["x" * 200]))
        assert store.said(limit=5000) == said
    is_sound(store.path)


def test_one_who_fails_with_others_waiting_fails_alone(pool):
    with Store(pool) as store:
        store.add(tasks(30))
        seen = {}

        def say(number):
            try:
                seen[number] = store.answer(number, "ada", "label", ["" if number % 3 == 0 else "cat"])
            except ValueError as error:
                seen[number] = error

        with store._write._writing:  # all of them wait, so that one commit has them all
            threads = [threading.Thread(target=say, args=(number,)) for number in range(1, 31)]
            for thread in threads:
                thread.start()
            while len(store._write._waiting) < 30:
                time.sleep(0.001)
        for thread in threads:
            thread.join()
        assert {number for number, one in seen.items() if isinstance(one, ValueError)} == set(range(3, 31, 3))
        assert sorted(one.task for one in store.said()) == [k for k in range(1, 31) if k % 3]
        assert store.said() == sorted((one for one in seen.values() if not isinstance(one, ValueError)),
                                      key=lambda one: one.number)  # fmt: skip
        is_sound(store.path)


def test_what_fails_after_writing_leaves_nothing(pool):
    def spoiled(connection):
        connection.execute("INSERT INTO class (name, annotator, at) VALUES ('dog', 'ada', 0)")
        raise ValueError("no dogs")

    with Store(pool) as store:
        with pytest.raises(ValueError, match="no dogs"):
            store._write(spoiled)
        assert store.classes() == ()
        assert store.add_class("cat", "ada")
        assert store.classes() == ("cat",)


@pytest.mark.parametrize("step", ["job", "commit"])
def test_when_the_disk_fails_all_who_wait_hear_of_it(pool, step):
    """A disk that fails in the middle of a commit: nobody is told that it worked, and nothing is half there."""
    class Failing:
        """A connection whose disk fails at one statement."""

        def __init__(self, connection):
            self.connection, self.broken = connection, True

        def execute(self, statement, *told):
            at = "COMMIT" if step == "commit" else "INSERT INTO said"
            if self.broken and statement.startswith(at) and (step == "commit" or told[0][0] == 3):
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                raise error
            return self.connection.execute(statement, *told)

        def __getattr__(self, name):
            return getattr(self.connection, name)

    with Store(pool) as store:
        store.add(tasks(5))
        failing = store._write._connection = Failing(store._write._connection)
        seen = {}

        def say(number):
            try:
                seen[number] = store.answer(number, "ada", "label", ["cat"])
            except OSError as error:
                seen[number] = str(error)

        with store._write._writing:
            threads = [threading.Thread(target=say, args=(number,)) for number in range(1, 6)]
            for thread in threads:
                thread.start()
            while len(store._write._waiting) < 5:
                time.sleep(0.001)
        for thread in threads:
            thread.join()
        assert all("the disk failed (disk I/O error)" in one for one in seen.values())
        assert store.said() == []
        failing.broken = False
        assert store.answer(1, "ada", "label", ["cat"]).number == 1
        is_sound(store.path)


def test_files_that_may_grow_no_further(pool):
    """The system refuses to make files longer: told in one sentence, and every acknowledged answer is there."""
    with Store(pool) as store:
        store.add(tasks(2000))
        path = store.path
    limit = path.stat().st_size + 200_000
    code = WORK.replace("import os", "import resource, signal, os", 1).replace(
        "def work(who):",
        f"signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, ({limit},) * 2)\n"
        "def work(who):",
    )
    told = subprocess.run([sys.executable, "-c", code, str(pool), "ada", "1", "1"], capture_output=True, check=False)
    said = acknowledged(told.stdout)
    assert "OSError: cannot" in told.stderr.decode()
    assert "what was answered before is kept." in told.stderr.decode()
    assert 0 < len(said) < 2000
    with Store(pool) as store:
        assert set(said) <= {(one.number, one.task, one.annotator) for one in store.said(limit=10**4)}
        assert store.answer(2000, "bob", "unsure")
    is_sound(path)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


def test_what_may_not_be_written_to(pool):
    with Store(pool) as store:
        store.add(tasks(1))
        store._write._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(PermissionError, match=r"annotations\.sqlite: it may not be written to; change its rights"):
            store.answer(1, "ada", "unsure")
        assert store.said() == []
        assert store.tasks()
    os.remove(store.path)
    store.path.mkdir()
    with pytest.raises(PermissionError, match="it may not be written to"):
        Store(pool)


def test_another_program_that_holds_the_file_too_long(pool, monkeypatch):
    monkeypatch.setattr("modest.annotation.schema.BUSY", 0.05)
    with Store(pool) as store:
        store.add(tasks(1))
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="another program held it"):
            store.answer(1, "ada", "unsure")
        assert store.tasks()  # who reads does not wait
        other.execute("ROLLBACK")
        other.close()
        assert store.answer(1, "ada", "unsure").number == 1
