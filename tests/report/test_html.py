import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import modest
from modest import report
from modest.report import Page, Part, plots


class Reader(HTMLParser):
    """Collects table cells, and what the page would load."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.loads, self.inside, self.best = [], [], None, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        self.inside = tag if tag in ("td", "th") else self.inside
        self.best.append(held.get("class") == "best") if tag == "td" else None
        if tag in ("script", "link", "img", "iframe"):
            self.loads.append(tag)
        for name in ("src", "href", "xlink:href"):
            if held.get(name) and not held[name].startswith(("#", "data:")):
                self.loads.append(held[name])

    def handle_endtag(self, tag):
        self.inside = None if tag in ("td", "th") else self.inside

    def handle_data(self, data):
        if self.inside:
            self.cells.append(data)


def page():
    table = pd.DataFrame({"method": ["a<b", "c"], "10": ["50.0 [49.0, 51.0]*", "40.0 [39.0, 41.0] "]})
    bars = plots.modality_bars({"fused": (0.9, 0.8, 1.0)})
    parts = [Part("Table & more", table=table), Part("Bars", figure=bars), Part("Facts", facts=[("seeds", 5)])]
    return Page("Title <1>", "Lead.", parts, [("7", "items")])


def test_the_page_holds_tables_and_plots_and_loads_nothing():
    text = report.html(page())
    read = Reader(text)
    assert read.loads == []
    assert read.cells == ["method", "10", "a<b", "50.0 [49.0, 51.0]", "c", "40.0 [39.0, 41.0]"]
    assert read.best == [False, True, False, False]
    assert text.count("<svg") == 1
    assert "Title &lt;1&gt;" in text
    assert not re.search(r"url\((?!#)", text)
    assert report.html(page()) == text


def test_writing_makes_the_folder_and_replaces_whole(tmp_path):
    path = report.write(page(), tmp_path / "new" / "r.html")
    assert path.read_text() == report.html(page())
    assert [p.name for p in path.parent.iterdir()] == ["r.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write"):
        report.write(page(), tmp_path / "file" / "r.html")


@pytest.fixture
def pool(tmp_path):
    rng = np.random.default_rng(0)
    image, audio = rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    audio[:12] = np.nan
    label = np.array(list("abc"))[np.arange(60) % 3]
    return modest.ingest({"image": image, "audio": audio, "label": label}, tmp_path / "pool")


def test_a_pool_without_rounds_shows_modalities_and_classes(pool):
    built = report.pool_page(pool)
    assert [part.title for part in built.parts] == [
        "Classes", "Near-duplicates", "Items that agree most and least", "Modalities", "Modality gap", "Provenance"
    ]  # fmt: skip
    held, gap = built.parts[3:5]
    assert held.table["share"].tolist() == ["100.0 %", "80.0 %"]
    assert "image by given has 4, audio by given has 3 features" in gap.text
    assert {what: value for value, what in built.numbers}["items"] == "60"


def test_a_round_is_drawn_where_its_items_lie(pool):
    choice = modest.select(pool.views(), 6, method="kcenter")
    pool.add(choice)
    built = report.pool_page(pool)
    assert [part.title for part in built.parts][:4] == [
        "What was chosen", "Classes bought", "Coverage and redundancy", "Near-duplicates"
    ]  # fmt: skip
    chosen = [c for c in built.parts[0].figure.axes[0].collections if len(c.get_offsets())][1]
    expected = report.plane(pool.views())[choice.rows]
    np.testing.assert_allclose(chosen.get_offsets(), expected)
    assert report.html(built).count("<figure") == 4
