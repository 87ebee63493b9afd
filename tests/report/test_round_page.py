"""Pages of rounds: what was chosen before, what is shown, and rounds that asked for partners."""

import io
import re

import numpy as np
import pytest
from PIL import Image

import modest
from modest import report
from modest.data.features import from_array
from modest.data.writing import write_view
from modest.report.chosen import earlier_rows
from modest.report.items import card, side
from modest.rounds.answers import answer
from modest.rounds.asking import ask


@pytest.fixture
def pool(tmp_path):
    """A pool of pictures and captions, one of them hostile, one picture gone; half of it labelled."""
    rng = np.random.default_rng(0)
    for k in range(60):
        Image.new("RGB", (30, 20), tuple(rng.integers(0, 255, 3).tolist())).save(tmp_path / f"{k:02d}.png")
    (tmp_path / "03.png").write_bytes(b"broken")
    captions = [f"caption {k}" for k in range(60)]
    captions[4] = "<script>alert(1)</script> & more"
    table = {"id": [f"i{k:02d}" for k in range(60)], "image": [str(tmp_path / f"{k:02d}.png") for k in range(60)],
             "text": captions, "split": ["train"] * 50 + ["test"] * 10,
             "label": [None] * 50 + ["a", "b"] * 5}  # fmt: skip
    made = modest.ingest(table, tmp_path / "pool")
    common = rng.normal(size=(60, 3))
    for name in ("image", "text"):
        write_view(made.path, name, "ready", from_array(common @ rng.normal(size=(3, 6)), name), made.ids)
    return modest.open(made.path)


def chosen(pool, rows, method="kcenter"):
    own = modest.select(pool.views(rows=np.asarray(rows)), len(rows), method=method)
    pool.add(own)
    return own


def test_a_round_shows_what_it_chose(pool):
    picks = chosen(pool, [3, 4, 5, 6])
    page = report.round_page(pool, 1)
    titles = [part.title for part in page.parts]
    assert titles[:4] == ["First of the choice", "What was chosen", "Coverage and redundancy", "Near-duplicates"]
    assert titles[-1] == "Provenance"
    (cards,) = page.parts[0].cards.values()
    assert [one.title for one in cards] == picks.ids.tolist()
    assert page.parts[0].data["id"].tolist() == picks.ids.tolist()
    broken = next(one for one in cards if one.title == "i03")
    assert any("cannot be shown" in shown.text for shown in broken.shown)
    text = report.html(page)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text
    assert text.count("data:image/jpeg;base64,") >= 3
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "None of the chosen items has a label yet." in page.notes[1].text
    assert "chose 4 of 50 free items, the first of this pool" in page.notes[0].text
    assert report.html(report.round_page(pool, 1)) == text


def test_labels_and_earlier_rounds_are_told(pool):
    first = chosen(pool, [1, 2, 3])
    pool.add({first.ids[0]: "a", first.ids[1]: "b", "i20": "a"})
    chosen(pool, [10, 11])
    assert earlier_rows(pool, 1).tolist() == [20, *range(50, 60)]
    assert earlier_rows(pool, 2).tolist() == [1, 2, 3, 20, *range(50, 60)]
    page = report.round_page(pool, 2)
    assert "chose 2 of 46 free items; 4 were chosen or labelled before" in page.notes[0].text
    assert "2 of the 3 have a label, of 2 classes" in report.round_page(pool, 1).notes[1].text
    facts = dict(page.parts[-1].facts)
    assert facts["round 2, method"] == "kcenter"
    assert facts["pool, hash of ids in order"] == pool.config["rows"]


def test_another_number_is_refused(pool):
    with pytest.raises(ValueError, match="it has none yet"):
        report.round_page(pool, 1)
    chosen(pool, [1])
    with pytest.raises(ValueError, match=r"round=2 is no round of .*its rounds are 1"):
        report.round_page(pool, 2)


def test_what_an_item_has_is_shown_once(pool):
    own = card(pool, 7)
    assert [one.name for one in own.shown] == ["image", "text"]
    assert Image.open(io.BytesIO(own.shown[0].picture)).size == (30, 20)
    assert own.shown[1].text == "caption 7"
    assert side(pool, 7, "sound") is None


def test_plain_vectors_are_plots_and_absent_ones_are_left_out(tmp_path):
    x = np.arange(12.0).reshape(4, 3) + 1
    x[2] = np.nan
    pool = modest.ingest({"x": x, "y": np.ones((4, 2))}, tmp_path / "pool")
    assert [one.name for one in card(pool, 0).shown] == ["x", "y"]
    assert card(pool, 0).shown[0].drawing.startswith("<svg")
    assert [one.name for one in card(pool, 2).shown] == ["y"]


def test_a_round_of_pairs_shows_its_questions(pool, tmp_path):
    table = pool.table.copy()
    table.loc[:24, "text"], table.loc[25:49, "image"] = None, None
    apart = modest.ingest(table[["id", "image", "text", "split"]], tmp_path / "apart")
    rng = np.random.default_rng(0)
    for name, rows in (("image", slice(25, 50)), ("text", slice(0, 25))):
        x = rng.normal(size=(60, 5))
        x[rows] = np.nan
        write_view(apart.path, name, "ready", from_array(x, name), apart.ids)
    apart = modest.open(apart.path)
    asking = ask(apart, 6, method="random", directions=[("image", "text")])
    page = report.round_page(apart, 1)
    assert [part.title for part in page.parts][:1] == ["First of the questions"]
    assert page.notes[1].text == "No question is answered yet."
    query = asking.queries[0]
    (cards,) = page.parts[0].cards.values()
    assert [one.title for one in cards] == query.ids.tolist()
    lines = [f"{query.ids[0]},i30", f"{query.ids[1]},none of these"]
    (tmp_path / "answers.csv").write_text("id,match\n" + "\n".join(lines) + "\n")
    answer(apart, tmp_path / "answers.csv")
    page = report.round_page(modest.open(apart.path), 1)
    assert "2 are answered: 1 with a partner, 1 without one, 0 skipped" in page.notes[1].text
    assert ("1", "pairs bought") in page.numbers
    assert "<script" not in report.html(page)
