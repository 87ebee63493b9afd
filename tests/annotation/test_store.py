"""The store against a model of it in plain Python, and by hand: who is handed what, what stands, what is refused."""

import json
import sqlite3
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modest.annotation import hand_out, progress, schema
from modest.annotation import store as stores
from modest.annotation.store import Store
from modest.annotation.task import Task


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def bare(folder):
    """A folder that counts as a pool."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"kind": "pool", "format": 1, "items": 1, "rows": "0"}))
    return folder


def tasks(count, number=1, kind="label"):
    sides = {"side": "image", "target": "text", "shortlist": ("a", "b")} if kind == "pair" else {}
    return [Task(number, kind, k, f"item {k}", "hash", **sides) for k in range(count)]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_store(tmp_path, clock):
    made = []

    def opened(**options):
        made.append(Store(bare(tmp_path / "pool"), clock=clock, **options))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def places(found):
    return [(task.round, task.place) for task in found]


class TestTasks:
    def test_a_task_comes_back_as_it_was(self, open_store):
        store = open_store()
        one = Task(3, "pair", 7, "naïve \" id'", "digest", 0.125, "why <b>", "image", "text", ("x", "y|z"))
        two = Task(1, "label", 0, "plain", "digest", None)
        assert store.add([one, two]) == 2
        found = store.tasks()
        assert [vars(task) for task in found] == [vars(two) | {"number": 2}, vars(one) | {"number": 1}]
        assert store.task(1) == found[1]

    def test_adding_again_adds_what_is_new(self, open_store):
        store = open_store()
        assert store.add(tasks(3)) == 3
        assert store.add(tasks(5)) == 2
        assert store.add(tasks(5, number=2)) == 5
        assert store.add(tasks(5, kind="pair")) == 5
        assert store.add([Task(1, "pair", 9, "item 0", "hash", side="text", target="image")]) == 1
        assert len(store.tasks(limit=100)) == 16

    def test_many_are_added_piece_by_piece_and_an_error_keeps_what_was_written(self, open_store, monkeypatch):
        monkeypatch.setattr(stores, "CHUNK", 4)
        store = open_store()
        with pytest.raises(ValueError, match="kind 'odd'"):
            store.add([*tasks(9), Task(1, "odd", 9, "x", "hash")])
        assert len(store.tasks()) == 8
        assert store.add(iter(tasks(9))) == 1

    @pytest.mark.parametrize(
        "odd", [Task(1, "pair", 0, "x", "h"), Task(1, "label", -1, "x", "h"), Task(1, "label", 0, "", "h")]
    )
    def test_a_task_that_lacks_something_is_refused(self, open_store, odd):
        with pytest.raises(ValueError, match="lacks its id, its place"):
            open_store().add([odd])

    def test_paging_meets_every_task_once(self, open_store):
        store = open_store()
        store.add([*tasks(7), *tasks(5, number=4), *tasks(6, number=2, kind="pair")])
        same = [Task(2, "pair", 3, "another", "hash", side="text", target="image")]  # a place may be there twice
        store.add(same)
        whole = store.tasks(limit=100)
        assert places(whole) == sorted(places(whole))
        for size in (1, 2, 3, 19):
            seen, after = [], None
            while page := store.tasks(after=after, limit=size):
                seen += page
                after = (page[-1].round, page[-1].place, page[-1].number)
            assert seen == whole
        assert places(store.tasks(rounds=[4, 1], after=(1, 5))) == [(1, 6), *[(4, k) for k in range(5)]]
        assert store.tasks(rounds=[9]) == []


class TestHandingOut:
    def test_lowest_round_and_place_first_and_kept(self, open_store):
        store = open_store()
        store.add(tasks(3, number=2))
        store.add(tasks(2, number=1, kind="pair"))
        assert places(store.next("ada", count=2)) == [(1, 0), (1, 1)]
        assert places(store.next("ada", count=3)) == [(1, 0), (1, 1), (2, 0)]  # theirs, again
        assert places(store.next("bob", count=9)) == [(2, 1), (2, 2)]
        assert places(store.next("cy")) == []
        assert places(store.next("ada", kind="label")) == [(2, 0)]
        assert places(store.next("ada", rounds=[2])) == [(2, 0)]
        assert store.next("ada", rounds=[7]) == []

    def test_after_goes_on_from_a_place(self, open_store):
        store = open_store()
        store.add([*tasks(3), *tasks(2, number=5)])
        assert places(store.next("ada", after=(1, 0), count=9)) == [(1, 1), (1, 2), (5, 0), (5, 1)]
        first = store.tasks()[1]
        assert places(store.next("ada", after=(1, 1, first.number), count=1)) == [(1, 2)]
        assert places(store.next("ada", after=(1, 2))) == [(5, 0)]

    def test_a_lease_runs_out_and_is_renewed(self, open_store, clock):
        store = open_store(lease=60)
        store.add(tasks(1))
        assert store.next("ada")
        clock.now += 59
        assert not store.next("bob")
        assert store.next("ada")
        clock.now += 59
        assert not store.next("bob")
        clock.now += 1
        assert store.next("bob")
        assert not store.next("ada")

    def test_what_is_released_is_open(self, open_store):
        store = open_store()
        store.add(tasks(2))
        store.next("ada", count=2)
        store.release("ada")
        assert len(store.next("bob", count=2)) == 2

    def test_answers_and_leases_together_make_the_redundancy(self, open_store, clock):
        store = open_store(redundancy=2, lease=60)
        store.add(tasks(1))
        (one,) = store.next("ada")
        assert store.next("bob")
        assert not store.next("cy")
        store.answer(one.number, "ada", "label", ["cat"])
        assert not store.next("cy")  # one answer, one lease
        assert not store.next("ada")  # not twice to the same
        clock.now += 60
        assert store.next("cy")
        store.answer(one.number, "cy", "label", ["cat"])
        assert not store.next("bob")

    def test_a_skip_passes_it_on(self, open_store):
        store = open_store()
        store.add(tasks(1))
        (one,) = store.next("ada")
        store.answer(one.number, "ada", "skip")
        assert not store.next("ada")
        assert store.next("bob")

    def test_cannot_tell_is_an_answer(self, open_store):
        store = open_store()
        store.add(tasks(1))
        store.answer(1, "ada", "unsure")
        assert not store.next("bob")

    def test_another_process_keeps_its_own_redundancy(self, open_store):
        one, three = open_store(), open_store(redundancy=3)
        one.add(tasks(1))
        one.answer(1, "ada", "unsure")
        assert not one.next("bob")
        assert three.next("bob")
        assert one.progress().done == 1
        assert three.progress().done == 0


class TestAnswers:
    def test_an_answer_says_who_what_when_and_for_which_round(self, open_store, clock):
        store = open_store()
        store.add(tasks(2))
        clock.now = 1234.5
        one = store.answer(2, " ada ", "label", ["  snow leopard "], seconds=3)
        assert vars(one) == {
            "number": 1, "task": 2, "annotator": "ada", "verdict": "label", "value": ("snow leopard",), "at": 1234.5,
            "seconds": 3.0, "round_hash": "hash",
        }  # fmt: skip
        assert store.said() == [one]
        assert list(store.standing()) == [(store.task(2), [one])]

    def test_the_second_stands_in_place_of_the_first(self, open_store):
        store = open_store(redundancy=2)
        store.add(tasks(1))
        store.answer(1, "ada", "label", ["cat"])
        bob = store.answer(1, "bob", "unsure")
        new = store.answer(1, "ada", "label", "dog")  # a bare text is one label
        assert store.answers([1]) == {1: [bob, new]}
        assert [one.value for one in store.said()] == [("cat",), (), ("dog",)]
        assert store.progress().answers == 2

    def test_a_skip_takes_the_answer_away(self, open_store):
        store = open_store()
        store.add(tasks(1))
        store.answer(1, "ada", "label", ["cat"])
        store.answer(1, "ada", "skip")
        assert list(store.standing()) == []
        assert store.progress().done == 0
        assert store.progress().skipped == 1

    def test_the_same_request_again_writes_nothing(self, open_store):
        store = open_store()
        store.add(tasks(2))
        one = store.answer(1, "ada", "label", ["cat"], seconds=2, key="k")
        assert store.answer(1, "ada", "label", [" cat "], seconds=9, key="k") == one
        assert len(store.said()) == 1
        assert store.answer(1, "bob", "label", ["cat"], key="k").number == 2  # keys are each annotator's own
        for task, verdict, value in ((2, "label", ["cat"]), (1, "label", ["dog"]), (1, "unsure", [])):
            with pytest.raises(ValueError, match="key 'k' has been used for another answer"):
                store.answer(task, "ada", verdict, value, key="k")
        store.undo("ada")
        assert store.answer(1, "ada", "label", ["cat"], key="k") == one  # late, after it was taken back
        assert [said.annotator for said in store.answers([1])[1]] == ["bob"]

    def test_partners_are_kept_once_each_and_as_they_are(self, open_store):
        store = open_store()
        store.add(tasks(1, kind="pair"))
        assert store.answer(1, "ada", "match", ["b ", "a", "b "]).value == ("b ", "a")
        assert store.answer(1, "ada", "none").value == ()

    @pytest.mark.parametrize(
        ("told", "words"),
        [
            ((9, "ada", "label", ["cat"]), "task 9 is not in the store"),
            ((2**70, "ada", "label", ["cat"]), "is not in the store"),
            (("1; DROP TABLE said", "ada", "label", ["cat"]), "is not in the store"),
            ((1, "ada", "perhaps"), "verdict 'perhaps' is unknown"),
            ((1, "ada", "undone"), "verdict 'undone' is unknown"),
            ((1, "ada", "label"), "value has 0 labels"),
            ((1, "ada", "label", ["a", "b"]), "value has 2 labels"),
            ((1, "ada", "label", ["  "]), "label is empty"),
            ((1, "ada", "label", ["x" * 201]), "label has 201 letters; 200 are the most"),
            ((1, "ada", "label", ["a\x00b"]), "control character"),
            ((1, "ada", "label", ["\ud800"]), "control character"),
            ((1, "ada", "match", ["a"]), "does not fit task 1, which asks for a label"),
            ((2, "ada", "label", ["a"]), "does not fit task 2, which asks for a pair"),
            ((2, "ada", "match"), "value has 0 partners"),
            ((2, "ada", "match", [""]), "partner is empty"),
            ((2, "ada", "match", [str(k) for k in range(1001)]), "value has 1001 partners"),
            ((1, "ada", "unsure", ["cat"]), "value is given with verdict 'unsure'"),
            ((1, "", "unsure"), "annotator is empty"),
            ((1, "a" * 201, "unsure"), "annotator has 201 letters"),
            ((1, "ada", "unsure", [], float("nan")), "seconds is nan"),
            ((1, "ada", "unsure", [], -1.0), "seconds is -1.0"),
            ((1, "ada", "unsure", [], 1.0, "k" * 201), "key has 201 letters"),
        ],
    )
    def test_what_is_odd_is_refused_and_leaves_nothing(self, open_store, told, words):
        store = open_store()
        store.add([*tasks(1), *tasks(1, number=2, kind="pair")])
        with pytest.raises(ValueError, match=words):
            store.answer(*told)
        assert store.said() == []

    @pytest.mark.parametrize("told", [(1, None, "unsure"), (1, "ada", "label", [3])])
    def test_what_is_no_text_is_refused(self, open_store, told):
        store = open_store()
        store.add(tasks(1))
        with pytest.raises(TypeError, match="give text"):
            store.answer(*told)

    def test_answers_are_paged_in_the_order_they_came(self, open_store):
        store = open_store()
        store.add(tasks(5))
        for number in (3, 1, 5, 2, 4):
            store.answer(number, "ada", "unsure")
        assert [one.task for one in store.said(limit=2)] == [3, 1]
        assert [one.task for one in store.said(after=2, limit=2)] == [5, 2]
        assert store.said(after=5) == []

    def test_what_stands_is_read_page_by_page_while_others_answer(self, open_store, monkeypatch):
        monkeypatch.setattr(stores, "PAGE", 2)
        store = open_store()
        store.add([*tasks(5), *tasks(3, number=2, kind="pair")])
        for number in (1, 2, 4, 5, 6, 8):
            store.answer(number, "ada", "unsure")
        store.answer(3, "ada", "skip")
        assert [task.number for task, _ in store.standing()] == [1, 2, 4, 5, 6, 8]
        assert [task.number for task, _ in store.standing(rounds=[2])] == [6, 8]
        assert [task.number for task, _ in store.standing(kind="label")] == [1, 2, 4, 5]
        reading = store.standing()
        next(reading)
        store.answer(7, "bob", "none")
        assert 7 in [task.number for task, _ in reading]


class TestUndo:
    def test_goes_back_one_by_one_and_hands_the_task_out_again(self, open_store):
        store = open_store()
        store.add(tasks(3))
        for number in (2, 1):
            store.answer(number, "ada", "label", ["cat"])
        store.answer(3, "ada", "skip")
        assert store.undo("ada").number == 3
        assert not store.next("bob")  # held for ada, not yet anybody's
        assert store.undo("ada").number == 1
        assert store.undo("ada").number == 2
        assert store.undo("ada") is None
        assert store.progress().answers == 0
        assert [one.verdict for one in store.said()] == ["label", "label", "skip", "undone", "undone", "undone"]
        assert places(store.next("ada", count=9)) == [(1, 0), (1, 1), (1, 2)]

    def test_takes_back_the_answer_and_what_it_stood_in_place_of(self, open_store):
        store = open_store()
        store.add(tasks(1))
        store.answer(1, "ada", "label", ["cat"])
        store.answer(1, "ada", "label", ["dog"])
        assert store.undo("ada").number == 1
        assert list(store.standing()) == []
        assert store.undo("ada") is None

    def test_is_ones_own_and_once_by_key(self, open_store):
        store = open_store()
        store.add(tasks(3))
        store.answer(1, "bob", "unsure")
        assert store.undo("ada") is None
        for number in (2, 3):
            store.answer(number, "ada", "unsure")
        assert [store.undo("ada", key="once").number for _ in range(3)] == [3, 3, 3]
        assert store.progress().by_annotator == {"ada": 1, "bob": 1}


class TestProgress:
    def test_counts(self, open_store, clock):
        store = open_store(redundancy=2)
        store.add([*tasks(4), *tasks(2, number=2, kind="pair")])
        for who in ("ada", "bob"):
            store.answer(1, who, "label", ["cat"])
        store.answer(2, "ada", "unsure")
        store.answer(3, "bob", "skip")
        store.answer(5, "bob", "none")
        store.next("cy", count=2)
        found = store.progress()
        assert vars(found) == {
            "total": 6, "done": 1, "open": 5, "leased": 2, "answers": 4, "by_annotator": {"ada": 2, "bob": 2},
            "per_minute": 4.0, "skipped": 1, "unsure": 1,
        }  # fmt: skip
        assert (store.progress([2]).total, store.progress([2]).answers, store.progress([2]).leased) == (2, 1, 0)
        assert store.progress([2]).per_minute == 1.0
        assert store.progress([1, 2]) == found
        assert store.progress([]).total == 0

    def test_the_rate_is_of_the_last_ten_minutes(self, open_store, clock):
        store = open_store()
        store.add(tasks(40))
        assert store.progress().per_minute == 0
        for k in range(30):  # two a minute, for fifteen minutes
            store.answer(k + 1, "ada", "unsure")
            clock.now += 30
        assert store.progress().per_minute == pytest.approx(19 / 9.5)
        store.undo("ada")
        assert store.progress().per_minute == pytest.approx(18 / 9.5)
        clock.now += progress.WINDOW
        assert store.progress().per_minute == 0
        store.answer(31, "ada", "unsure")
        clock.now += 120
        assert store.progress().per_minute == 0.5  # after a pause, by the minutes since they began anew


class TestClasses:
    def test_are_kept_in_order_and_once(self, open_store):
        store = open_store()
        assert store.classes() == ()
        assert [store.add_class(name, "ada") for name in ("dog", "cat", " dog ")] == [True, True, False]
        assert store.classes() == ("dog", "cat")
        for odd in ("", "x" * 201, "a\nb"):
            with pytest.raises(ValueError, match=r"^class"):
                store.add_class(odd, "ada")
        assert open_store().classes() == ("dog", "cat")


class TestFile:
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE said SET annotator = 'eve'", "DELETE FROM said", "UPDATE said SET at = 0 WHERE number = 1",
            "INSERT OR REPLACE INTO said SELECT * FROM said",
            f"INSERT OR REPLACE INTO said SELECT {schema.SAID}, 'another' FROM said",
            f"INSERT OR REPLACE INTO said SELECT 9, {schema.SAID.removeprefix('number, ')}, key FROM said",
            "DELETE FROM class", "UPDATE class SET name = 'x'", "DELETE FROM task", "UPDATE task SET id = 'x'",
        ],
    )  # fmt: skip
    def test_what_was_said_cannot_be_changed_by_anyone(self, open_store, change):
        store = open_store()
        store.add(tasks(1))
        store.answer(1, "ada", "label", ["cat"], key="k")
        store.add_class("dog", "ada")
        before = store.said()
        with sqlite3.connect(store.path) as other, pytest.raises(sqlite3.IntegrityError, match="never"):
            other.execute(change)
        assert store.said() == before
        assert store.classes() == ("dog",)

    def test_wal_full_sync_and_foreign_keys(self, open_store):
        store = open_store()
        told = ("journal_mode", "synchronous", "foreign_keys", "user_version")
        asked = store._write(lambda connection: [connection.execute(f"PRAGMA {one}").fetchone()[0] for one in told])
        assert asked == ["wal", 2, 1, schema.FORMAT]
        with pytest.raises(ValueError, match="FOREIGN KEY"):
            store._write(lambda connection: connection.execute("INSERT INTO lease VALUES (7, 'ada', 0)"))

    def test_a_lease_does_not_wait_for_the_disk_and_an_answer_does(self, open_store):
        store = open_store()
        store.add(tasks(1))

        def sync(connection):
            return connection.execute("PRAGMA synchronous").fetchone()[0]

        assert [store._write(sync, durable) for durable in (False, True, False, True)] == [1, 2, 1, 2]

    def test_another_file_is_refused_by_name(self, tmp_path, open_store):
        place = bare(tmp_path / "pool") / schema.FILE
        place.write_bytes(b"no database at all, but long enough to look like something" * 20)
        with pytest.raises(ValueError, match=r"annotations\.sqlite is damaged or no SQLite file"):
            open_store()
        place.unlink()
        with sqlite3.connect(place) as other:
            other.execute("CREATE TABLE said (x)")
        with pytest.raises(ValueError, match=r"annotations\.sqlite is not what modest annotate writes"):
            open_store()

    @pytest.mark.parametrize(("version", "mend"), [(0, "the modest that wrote it"), (99, "upgrade modest")])
    def test_another_format_is_refused(self, open_store, version, mend):
        store = open_store()
        store.close()
        with sqlite3.connect(store.path) as other:
            other.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(ValueError, match=f"format {version} .*{mend}"):
            open_store()

    def test_an_empty_file_left_by_a_kill_is_filled(self, tmp_path, open_store):
        (bare(tmp_path / "pool") / schema.FILE).touch()
        assert open_store().add(tasks(1)) == 1

    def test_needs_a_pool_and_sensible_numbers(self, tmp_path, open_store):
        with pytest.raises(FileNotFoundError, match="holds no pool"):
            Store(tmp_path)
        for odd in (0, 101):
            with pytest.raises(ValueError, match=f"redundancy is {odd}"):
                open_store(redundancy=odd)
        for odd in (0, -1, float("nan")):
            with pytest.raises(ValueError, match="lease is"):
                open_store(lease=odd)

    def test_after_closing_it_says_so(self, open_store):
        with open_store() as store:
            store.add(tasks(1))
        for ask in (lambda: store.task(1), lambda: store.next("ada")):
            with pytest.raises(ValueError, match="closed"):
                ask()


def test_every_query_uses_an_index(open_store):
    store = open_store()
    names = ("round", "kind", "answers", "after", "number", "annotator", "now", "redundancy", "count")
    by_key = f"SELECT {schema.SAID} FROM said WHERE annotator = ? AND key = ? AND key <> ''"
    counts = (progress.RATE.format(named="TRUE"), progress.LEASED.format(named="TRUE"))
    for query in (hand_out.OPEN, hand_out.NEWEST, stores.TASKS, stores.ANSWERED, stores.STANDING, *counts, by_key):
        told = dict.fromkeys(names, 1) if query is hand_out.OPEN else [1] * query.count("?")
        steps = [row[3] for row in store._reader.execute(f"EXPLAIN QUERY PLAN {query}", told)]
        assert steps, query
        odd = [step for step in steps if step.startswith("SCAN") or "ORDER BY" in step]
        assert not odd, (query, steps)


class Model:
    """The store as a few lines of plain Python, slow and plainly right."""

    def __init__(self, given, redundancy, lease, clock):
        self.tasks, self.redundancy, self.lease, self.clock = given, redundancy, lease, clock
        self.log, self.leases = [], {}

    def stands(self):
        found = {}
        for number, (task, who, verdict) in enumerate(self.log):
            found.pop((task, who), None)
            if verdict != "undone":
                found[task, who] = (number, verdict)
        return found

    def answers(self, task):
        return sum(one == task and verdict != "skip" for (one, _), (_, verdict) in self.stands().items())

    def next(self, who, count):
        said, free = self.stands(), []
        for task in self.tasks:
            others = sum(
                number == task.number and one != who and until > self.clock()
                for (number, one), until in self.leases.items()
            )
            if (task.number, who) not in said and self.answers(task.number) + others < self.redundancy:
                free.append(task.number)
        for number in free[:count]:
            self.leases[number, who] = self.clock() + self.lease
        return free[:count]

    def say(self, task, who, verdict):
        self.log.append((task, who, verdict))
        self.leases.pop((task, who), None)

    def undo(self, who):
        mine = [(number, task) for (task, one), (number, _) in self.stands().items() if one == who]
        if not mine:
            return None
        self.say(max(mine)[1], who, "undone")
        self.leases[max(mine)[1], who] = self.clock() + self.lease
        return max(mine)[1]

    def release(self, who):
        self.leases = {key: until for key, until in self.leases.items() if key[1] != who}


people = st.sampled_from(["ada", "bob", "cy"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("next"), people, st.integers(1, 3)),
        st.tuples(st.just("answer"), people, st.integers(1, 6), st.sampled_from(["label", "unsure", "skip"])),
        st.tuples(st.just("undo"), people),
        st.tuples(st.just("release"), people),
        st.tuples(st.just("wait"), st.integers(1, 100)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, redundancy=st.integers(1, 3))
def test_is_its_model(tmp_path_factory, steps, redundancy):
    clock = Clock()
    with Store(bare(tmp_path_factory.mktemp("model")), redundancy=redundancy, lease=60, clock=clock) as store:
        store.add([*tasks(4, number=2), *tasks(2, number=1)])
        model = Model(store.tasks(), redundancy, 60, clock)
        for what, *told in steps:
            if what == "next":
                assert [task.number for task in store.next(told[0], count=told[1])] == model.next(*told)
            elif what == "answer":
                store.answer(told[1], told[0], told[2], ["cat"] if told[2] == "label" else [])
                model.say(told[1], told[0], told[2])
            elif what == "undo":
                found = store.undo(told[0])
                assert (found and found.number) == model.undo(told[0])
            elif what == "release":
                store.release(told[0])
                model.release(told[0])
            else:
                clock.now += told[0]
        stands = {key: value for key, value in model.stands().items() if value[1] != "skip"}
        found = {(task.number, one.annotator): one for task, said in store.standing() for one in said}
        assert {key: (one.number - 1, one.verdict) for key, one in found.items()} == stands
        told = store.progress()
        done = sum(model.answers(task.number) >= redundancy for task in model.tasks)
        live = {task for (task, _), until in model.leases.items() if until > clock()}
        assert (told.total, told.done, told.answers, told.leased) == (6, done, len(stands), len(live))
        assert told.skipped == sum(verdict == "skip" for _, verdict in model.stands().values())
        assert told.unsure == sum(verdict == "unsure" for _, verdict in stands.values())
        assert sum(told.by_annotator.values()) == told.answers


def test_many_threads_at_once_lose_and_double_nothing(open_store):
    store = open_store(redundancy=2)
    store.add(tasks(60))
    failed = []

    def work(who, seed):
        rng = np.random.default_rng(seed)
        try:
            while found := store.next(who, count=2):
                for task in found:
                    for _ in range(int(rng.integers(1, 3))):  # some requests come twice
                        store.answer(task.number, who, "label", [who], key=f"{task.number}")
                if rng.random() < 0.1:
                    store.undo(who, key=str(rng.random()))
                    store.answer(task.number, who, "label", [who], key=f"{task.number} again")
                store.progress()
        except Exception as error:  # noqa: BLE001 - whatever a thread meets fails the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"annotator {k}", k)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    found = list(store.standing())
    assert len(found) == 60
    assert all(len({one.annotator for one in said}) == len(said) == 2 for _, said in found)
    assert store.progress().done == 60
    assert store.progress().leased == 0
