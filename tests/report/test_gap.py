import numpy as np
import pytest

import modest
from modest import Views, report
from modest.data.features import from_array
from modest.data.writing import write_view
from modest.report.gap import gap_parts, regime
from modest.report.gap_plot import gap_figure
from modest.report.spaces import MOST_COSINES, joint_plane, sample, space
from modest.representation.gap import Gap, modality_gap


def sides(n=60, d=6, apart=1.0, seed=0):
    """Two modalities of the same items, moved apart by a vector of that length."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(n, d)).astype(np.float32)
    move = np.zeros(d, dtype=np.float32)
    move[0] = apart
    return {"image": image - move, "text": image + 0.3 * rng.normal(size=(n, d)).astype(np.float32) + move}


def add(pool, encoder, arrays):
    for name, array in arrays.items():
        write_view(pool.path, name, encoder, from_array(array, name), pool.ids)


@pytest.fixture
def pool(tmp_path):
    """Image and text of one width by two encoders each; some rows of text absent in one, some of image in the other."""
    new, old = sides(apart=0.2), sides(apart=1.5, seed=1)
    new["text"][:5] = np.nan
    old["image"][3:9] = np.nan
    made = modest.ingest({**new, "label": np.arange(60) % 3}, tmp_path / "pool")
    add(made, "old", old)
    return made


BOTH = {"image": "given", "text": "given"}
OLD = {"image": "old", "text": "old"}


def column(part, name):
    return dict(zip(part.table["measure"], part.table[name]))


def dots(axes, at_least=2):
    return [c.get_offsets() for c in axes.collections if len(c.get_offsets()) >= at_least and hasattr(c, "get_sizes")]


def test_the_default_views_of_a_pool_are_drawn_with_their_figures(pool):
    (part,) = gap_parts(pool)
    found = modality_gap(pool.views())
    told = column(part, "here")
    assert told["gap: distance of the means"] == f"{found.gap:.4f}"
    assert told["S_uni image: mean cosine within"] == f"{found.within['image']:.4f}"
    assert told["S_uni text: mean cosine within"] == f"{found.within['text']:.4f}"
    assert told["S_cross: mean cosine across"] == f"{found.across:.4f}"
    assert told["paired: mean cosine of an item's halves"] == f"{found.paired:.4f}"
    assert told["unpaired: mean cosine of two items' halves"] == f"{found.unpaired:.4f}"
    assert told["items with both"] == "55"
    assert part.text.startswith(regime(found)[:-1])
    assert "Image by given, text by given" in part.caption
    cosines, plane = part.figure.axes
    assert [text.get_text() for text in cosines.get_legend().get_texts()] == [
        f"unpaired, mean {found.unpaired:.3f}",
        f"paired, mean {found.paired:.3f}",
    ]
    assert [text.get_text() for text in plane.get_legend().get_texts()] == ["image", "text"]
    assert [len(points) for points in dots(plane)] == [55, 55]


def test_the_page_of_a_pool_holds_it(pool):
    page = report.pool_page(pool, BOTH)
    assert [part.title for part in page.parts][-3:] == ["Modalities", "Modality gap", "Provenance"]
    assert page.parts[-3].table["share"].tolist() == ["100.0 %", "91.7 %"]
    text = report.html(page)
    assert text.count("<figure") == 3
    assert report.html(report.pool_page(pool, BOTH)) == text


def test_views_named_are_those_shown(pool):
    page = report.pool_page(pool, OLD)
    assert page.parts[-3].table["share"].tolist() == ["90.0 %", "100.0 %"]
    assert column(page.parts[-2], "here")["gap: distance of the means"] == f"{modality_gap(pool.views(OLD)).gap:.4f}"


def test_before_and_after_stand_side_by_side_over_the_same_items(pool):
    (part,) = gap_parts(pool, BOTH, before=OLD)
    both = pool.views(BOTH).present.all(axis=1) & pool.views(OLD).present.all(axis=1)
    assert both.sum() == 51
    after, before = (modality_gap(pool.views(named, both)) for named in (BOTH, OLD))
    name = "gap: distance of the means"
    assert column(part, "before")[name] == f"{before.gap:.4f}"
    assert column(part, "after")[name] == f"{after.gap:.4f}"
    assert column(part, "difference")[name] == f"{after.gap - before.gap:+.4f}"
    assert column(part, "before")["items with both"] == column(part, "after")["items with both"] == "51"
    assert "Before: image by old, text by old; after: image by given, text by given" in part.caption
    one, two, three, four = part.figure.axes
    assert one.get_title(loc="left").startswith("before: gap")
    assert two.get_title(loc="left").startswith("after: gap")
    assert (one.get_xlim(), one.get_ylim()) == (two.get_xlim(), two.get_ylim())
    assert (three.get_xlim(), three.get_ylim()) == (four.get_xlim(), four.get_ylim())
    assert gap_parts(pool, before=OLD)[0].table.equals(part.table)


def test_widths_that_differ_are_said_and_not_drawn(pool):
    add(pool, "pixels", {"image": np.ones((60, 9)) + np.eye(60, 9)})
    (part,) = gap_parts(pool, {"image": "pixels", "text": "given"})
    assert part.figure is None
    assert part.table is None
    assert "image by pixels has 9, text by given has 6 features" in part.text
    (part,) = gap_parts(pool, BOTH, before={"image": "pixels", "text": "given"})
    assert len(part.figure.axes) == 2
    assert "Nothing is drawn of before: image by pixels has 9" in part.text


def test_each_pair_of_one_width_has_its_part(tmp_path):
    both = sides()
    given = {**both, "audio": both["image"][::-1], "thin": both["text"][:, :2], "none": both["text"]}
    given["none"] = np.where(np.arange(60)[:, None] < 59, np.nan, given["none"])
    parts = gap_parts(modest.ingest(given, tmp_path / "pool"))
    assert [part.title for part in parts if part.figure is not None] == [
        "Modality gap of image and text",
        "Modality gap of image and audio",
        "Modality gap of text and audio",
    ]
    told = {part.text for part in parts if part.figure is None}
    assert told == {
        f"No gap is drawn: items that have both {name} and none: 1; two are needed."
        for name in ("image", "text", "audio")
    }


def test_one_modality_has_no_gap(tmp_path):
    assert gap_parts(modest.ingest({"image": sides()["image"]}, tmp_path / "pool")) == []


def test_cosines_are_of_pairs_and_of_partners_met_once():
    views = Views(sides(), ids=[f"item {k}" for k in range(60)])
    both = np.ones(60, dtype=bool)
    rows = sample(views.ids, both, seed=3)
    drawn = space(views, both, rows)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in views.arrays.values()]
    table = unit[0] @ unit[1].T
    np.testing.assert_allclose(drawn.paired, table[rows, rows], atol=1e-6)
    partner = np.array([int(np.argmin(np.abs(table[row] - c))) for row, c in zip(rows, drawn.unpaired)])
    np.testing.assert_allclose(table[rows, partner], drawn.unpaired, atol=1e-6)
    assert sorted(partner) == list(range(60))
    assert (partner != rows).all()


def test_the_sample_follows_ids_and_seed_and_presence():
    n = MOST_COSINES + 500
    ids = np.array([f"item {k}" for k in range(n)])
    both = np.arange(n) % 50 != 0
    rows = sample(ids, both, seed=1)
    assert len(rows) == len(set(rows.tolist())) == MOST_COSINES
    assert both[rows].all()
    shuffled = np.random.default_rng(0).permutation(n)
    again = sample(ids[shuffled], both[shuffled], seed=1)
    np.testing.assert_array_equal(ids[shuffled][again], ids[rows])
    assert (sample(ids, both, seed=2) != rows).any()


def test_the_plane_is_principal_component_analysis_of_both():
    first, second = (x.astype(np.float64) for x in sides().values())
    a, b = joint_plane(first, second)
    stacked = np.concatenate([first, second])
    stacked -= stacked.mean(axis=0)
    left, size, _ = np.linalg.svd(stacked, full_matrices=False)
    np.testing.assert_allclose(np.abs(np.concatenate([a, b])), np.abs(left[:, :2] * size[:2]), atol=1e-9)
    assert a[:, 0].mean() < b[:, 0].mean()
    assert joint_plane(second, first)[0][:, 0].mean() < 0
    assert [half.shape for half in joint_plane(first[:, :1], second[:, :1])] == [(60, 2), (60, 2)]


def test_the_map_joins_the_halves_of_items():
    views = Views(sides())
    both = np.ones(60, dtype=bool)
    drawn = space(views, both, sample(views.ids, both))
    plane = gap_figure([drawn]).axes[1]
    assert len(plane.lines) == 12
    for k, line in enumerate(plane.lines):
        ends = np.stack([drawn.points["image"][k], drawn.points["text"][k]])
        np.testing.assert_allclose(np.column_stack(line.get_data()), ends)
    for points, expected in zip(dots(plane), drawn.points.values()):
        np.testing.assert_allclose(points, expected)


def test_bars_are_the_shares_of_the_cosines():
    views = Views(sides())
    both = np.ones(60, dtype=bool)
    drawn = space(views, both, sample(views.ids, both))
    values, edges, _ = gap_figure([drawn]).axes[0].patches[-1].get_data()
    np.testing.assert_allclose(values, np.histogram(drawn.paired, edges)[0] / 60)
    assert values.sum() == pytest.approx(1.0)
    assert edges[0] < drawn.unpaired.min()


def made(gap, within):
    return Gap(gap, {"image": within, "text": 0.01}, 0.0, 0.0, 0.0, 9, {}, {})


@pytest.mark.parametrize(
    ("gap", "within", "words", "cone"),
    [
        (0.851, 0.53, "above every gap", True),
        (0.2701, 0.0204, "without prototypes (0.133 to 0.270)", False),
        (0.1643, 0.0188, "without prototypes (0.133 to 0.270)", False),
        (0.125, 0.02, "between those", False),
        (0.0483, 0.0073, "with prototypes (0.048 to 0.120)", False),
        (0.1203, 0.0283, "with prototypes (0.048 to 0.120)", False),
        (0.01, 0.2, "below every gap", True),
    ],
)
def test_the_regime_is_named(gap, within, words, cone):
    text = regime(made(gap, within))
    assert words in text
    assert ("image lies in a cone" in text) == cone


@pytest.mark.parametrize(
    ("views", "before", "words"),
    [
        ({"image": "given"}, None, "views names image; name at least two"),
        (None, {"text": "old"}, "before names text; name at least two"),
        (BOTH, {"image": "old", "audio": "old"}, "before names image, audio and views image, text"),
    ],
)
def test_names_that_make_no_pair_are_refused(pool, views, before, words):
    with pytest.raises(ValueError, match=words):
        gap_parts(pool, views, before)


def test_a_view_that_is_not_there_names_the_command(pool):
    with pytest.raises(FileNotFoundError, match="modest embed"):
        gap_parts(pool, BOTH, {"image": "older", "text": "old"})
