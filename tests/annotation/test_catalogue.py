"""The catalogue against a walk through the pool's table, whatever people type; when it is made anew; what it costs."""

import shutil
import sqlite3
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modest
from modest.annotation import catalogue as catalogues
from modest.annotation.catalogue import Catalogue, Item
from modest.data.features import from_array
from modest.data.writing import write_view

CAPTIONS = [
    "A dog runs in the park", "two DOGS, one cat", None, "hotdog stand", "der große Hund", "犬が公園を走る犬小屋",
    'say "hello" AND (NOT goodbye) OR id:*', "100% _underscore_ -minus ^caret", "a\nb\tc", "",
]  # fmt: skip
IDS = ["x1", "x10", "x100", "Ab", "ab-2", "dog", "'; DROP TABLE item; --", 'quo"te', "é", "zz top"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Ten items with odd ids and captions, pictures for four, a number, and a view for rows 1 and 2."""
    folder = tmp_path_factory.mktemp("catalogue")
    frame = pd.DataFrame(
        {
            "id": IDS,
            "text": CAPTIONS,
            "image": [f"/data/dogs/picture-{k}.jpg" if k < 4 else None for k in range(10)],
            "age": [np.nan, 3.5, *range(2, 10)],
            "label": ["secret"] * 10,
        }
    )
    pool = modest.ingest(frame, folder / "pool", columns=["text", "image", "age"])
    vectors = np.full((10, 3), np.nan, dtype=np.float32)
    vectors[1:3] = 1
    write_view(pool.path, "sensor", "given", from_array(vectors, "sensor"), pool.ids)
    return modest.open(pool.path)


@pytest.fixture(scope="module")
def catalogue(made):
    found = Catalogue(made)
    yield found
    found.close()


def ids(found):
    return [item.id for item in found]


def walked(text, modality=None):
    """What a search finds, by walking all rows."""
    words = text.replace("\0", " ").split()
    long = [word.lower() for word in words if len(word) > 2]
    found = []
    for k, name in enumerate(IDS):
        texts = [name, CAPTIONS[k] or "", f"picture-{k}.jpg" if k < 4 else ""]
        has = {"text": CAPTIONS[k] is not None, "image": k < 4, "age": k > 0, "sensor": k in (1, 2)}
        fits = all(any(word in one.lower() for one in texts) for word in long)
        if words and not long:
            fits = name.lower().startswith(" ".join(words).lower())
        if fits and (modality is None or has.get(modality, False)):
            found.append(name)
    return found


class TestItem:
    def test_is_what_the_pool_holds(self, catalogue):
        values = {"text": CAPTIONS[1], "image": "/data/dogs/picture-1.jpg", "age": 3.5}
        assert catalogue.item("x10") == Item(1, "x10", values, ("text", "image", "age", "sensor"))
        assert catalogue.item("x100").values == {"image": "/data/dogs/picture-2.jpg", "age": 2.0}
        assert catalogue.item("x100").has == ("image", "age", "sensor")
        assert [catalogue.item(name).row for name in IDS] == list(range(10))
        for odd in ("X10", "x1%", "", "' OR 1=1 --"):
            assert catalogue.item(odd) is None

    def test_a_label_is_not_shown(self, catalogue):
        assert all("label" not in catalogue.item(name).values for name in IDS)
        assert catalogue.search("secret") == []


class TestSearch:
    @pytest.mark.parametrize(
        "text",
        ["dog", "DOG", "dogs", "dog park", "park dog", "ru", "x", "x1", "X10", "x100", "A", "é", "犬", "犬小屋", "hund",
         "groß", '"hello"', "AND", "NOT goodbye", "id:*", "100%", "_underscore_", "-minus", "^caret", "DROP TABLE",
         'quo"te', "picture-3", "data", "zzz", "to", "zz top", "in the", "a dog", "..."],
    )  # fmt: skip
    @pytest.mark.parametrize("modality", [None, "text", "image", "age", "sensor", "nothing"])
    def test_finds_what_a_walk_finds(self, catalogue, text, modality):
        assert ids(catalogue.search(text, modality)) == walked(text, modality)

    @settings(deadline=None)
    @given(st.text(max_size=20) | st.text(alphabet='"*()^-+:{}ANDORT xd\0\x02\ue000%_', max_size=12))
    def test_no_text_is_syntax(self, catalogue, text):
        found = ids(catalogue.search(text))
        if text.isascii():
            assert found == walked(text)

    def test_without_a_text_all_items_in_the_pools_order(self, catalogue):
        assert ids(catalogue.search("")) == IDS
        assert ids(catalogue.search("  \0 ", limit=3, after=4)) == IDS[4:7]
        assert ids(catalogue.search("", "sensor")) == ["x10", "x100"]

    @pytest.mark.parametrize(("text", "modality"), [("", None), ("dog", None), ("", "image"), ("x", None)])
    def test_paging_meets_every_item_once(self, catalogue, text, modality):
        seen, after = [], 0
        while page := catalogue.search(text, modality, limit=2, after=after):
            seen += ids(page)
            after = page[-1].row + 1
        assert seen == walked(text, modality)

    def test_every_query_uses_an_index(self, catalogue):
        for query, told in ((catalogues.ITEM, ["x"]), (catalogues.PAGE, [3, 2]), (catalogues.FOUND, ['"dog"', 3, 2])):
            steps = [row[3] for row in catalogue._connection.execute(f"EXPLAIN QUERY PLAN {query}", told)]
            assert steps
            assert all("INDEX" in step or "PRIMARY KEY" in step for step in steps), steps
            assert not [step for step in steps if "ORDER BY" in step], steps


class TestMaking:
    @pytest.fixture
    def pool(self, made, tmp_path):
        shutil.copytree(made.path, tmp_path / "pool")
        (tmp_path / "pool" / catalogues.FILE).unlink(missing_ok=True)
        return modest.open(tmp_path / "pool")

    @pytest.fixture
    def built(self, monkeypatch):
        """How often a catalogue was made."""
        count, build = [], catalogues._build
        monkeypatch.setattr(catalogues, "_build", lambda *given: (count.append(1), build(*given)))
        return count

    def test_it_is_made_once(self, pool, built):
        for _ in range(3):
            Catalogue(pool).close()
        assert len(built) == 1
        assert not list(pool.path.glob(".*partial*"))
        assert not list(pool.path.glob(".*lock"))

    def test_progress_goes_to_the_end(self, pool, monkeypatch):
        monkeypatch.setattr(catalogues, "PIECE", 4)
        told = []
        found = Catalogue(pool, lambda *given: told.append(given))
        assert told == [(4, 10), (8, 10), (10, 10)]
        assert ids(found.search("")) == IDS

    def test_labels_do_not_matter_and_values_and_views_do(self, pool, built):
        Catalogue(pool).close()
        pool.add({"x1": "cat", "dog": None})
        Catalogue(modest.open(pool.path)).close()
        assert len(built) == 1
        pool.table.loc[0, "text"] = "something else"
        pool.save()
        assert ids(Catalogue(modest.open(pool.path)).search("something else")) == ["x1"]
        assert len(built) == 2
        write_view(pool.path, "sound", "given", from_array(np.ones((10, 2), np.float32), "sound"), pool.ids)
        assert ids(Catalogue(modest.open(pool.path)).search("", "sound")) == IDS
        assert len(built) == 3

    def test_a_broken_one_is_made_anew(self, pool, built):
        found = Catalogue(pool)
        found.close()
        found.path.write_bytes(b"nothing that SQLite knows" * 100)
        assert Catalogue(pool).item("x1").row == 0
        with sqlite3.connect(found.path) as other:
            other.execute("DELETE FROM about")
        assert Catalogue(pool).item("x1").row == 0
        assert len(built) == 3

    def test_what_cannot_be_finished_leaves_nothing(self, pool, monkeypatch):
        def failing(*given):
            yield from list(catalogues_rows(*given))[:0]
            raise OSError("stop")

        catalogues_rows = catalogues._rows
        monkeypatch.setattr(catalogues, "_rows", failing)
        with pytest.raises(OSError, match="stop"):
            Catalogue(pool)
        assert not [one for one in pool.path.iterdir() if one.name.startswith(".")]
        monkeypatch.undo()
        (pool.path / f".{catalogues.FILE}.partial").write_text("left by a kill")
        assert Catalogue(pool).item("x1").row == 0

    def test_rows_that_a_killed_append_left_are_not_there(self, pool):
        pool.config["items"] = 7
        assert ids(Catalogue(pool).search("")) == IDS[:7]

    def test_two_at_once_are_told(self, pool):
        from modest.data.lock import held

        with (
            held((pool.path / catalogues.FILE).with_suffix(".lock"), pool.path),
            pytest.raises(OSError, match=r"catalogue\.sqlite is in use by another run"),
        ):
            Catalogue(pool)


def test_memory_does_not_follow_the_pool(tmp_path, monkeypatch):
    """Twice the items take no more memory, to make it and to page through all of it."""
    most = []
    monkeypatch.setattr(catalogues, "PIECE", 250)
    for n in (2000, 4000):
        frame = pd.DataFrame({"id": [f"item {k}" for k in range(n)], "text": ["a caption of some length " * 4] * n})
        pool = modest.ingest(frame, tmp_path / str(n))
        pool = modest.open(pool.path)
        tracemalloc.start()
        found, after, seen = Catalogue(pool), 0, 0
        while page := found.search("caption", limit=100, after=after):
            seen, after = seen + len(page), page[-1].row + 1
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        found.close()
        assert seen == n
    assert most[1] < 1.2 * most[0]
