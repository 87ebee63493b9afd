import json
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex

import modest
from modest import bench, report
from modest.cli import main
from modest.data.tracked import Tracked
from modest.evaluation import curve, data_map
from modest.report.cartography_plot import TONES


def tracked(n=50, epochs=4):
    """Confidence rises with the number of the item."""
    p = np.linspace(0.05, 0.95, n) * np.linspace(0.5, 1, epochs)[:, None]
    return Tracked(np.array([f"i{k:02d}" for k in range(n)]), np.full(n, "a"), p, p > 0.3)


def drawn(axes):
    """Heights of the bars, a row per colour."""
    heights = {
        tone: [bar.get_height() for bar in axes.patches if to_hex(bar.get_facecolor()) == tone] for tone in TONES
    }
    return np.array([heights[tone] for tone in TONES])


def test_bars_have_the_heights_given_and_random_is_one():
    told = {
        "kcenter": [2.0, 1.0, 1.0, 0.5, 0.5],
        "kmeans": np.array([[0.0, 0, 1, 2, 2], [1.0, 0, 1, 1, 2], [0.0, 1, 1, 1, 2]]),
    }
    axes = report.preference_bars(told).axes[0]
    np.testing.assert_allclose(drawn(axes).T, [told["kcenter"], told["kmeans"].mean(axis=0)])
    assert axes.lines[-1].get_ydata() == [1.0, 1.0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["kcenter", "kmeans"]
    got = curve(told["kmeans"][:, 0])
    spread = next(c for c in axes.collections if len(c.get_segments()))
    np.testing.assert_allclose(np.sort(spread.get_segments()[0][:, 1]), [got.low, got.high])


def test_the_map_draws_every_item_and_no_more_than_can_be_seen():
    own = tracked()
    chart = data_map(own.confidence, own.correct)
    dots = report.map_figure(chart).axes[0].collections[0]
    np.testing.assert_allclose(dots.get_offsets(), np.column_stack([chart.variability, chart.confidence]))
    np.testing.assert_allclose(dots.get_array(), chart.correctness / 4)
    many = np.random.default_rng(0).random((2, 50_000))
    assert len(report.map_figure(data_map(many, many > 0.5)).axes[0].collections[0].get_offsets()) <= 20_000


def test_hard_is_written_only_where_something_is_hard():
    for low, words in ((0.9, ["easy", "ambiguous"]), (0.1, ["easy", "ambiguous", "hard"])):
        chart = data_map([[low, 0.99]] * 2, [[True, True]] * 2)
        assert [text.get_text() for text in report.map_figure(chart).axes[0].texts] == words


def test_the_part_says_what_each_choice_prefers():
    own = tracked()
    hardest, easiest = own.ids[:10], own.ids[-10:]
    first, second = report.cartography_parts(own, {"a": [hardest], "b": [easiest, own.ids]}, "Told. ")
    assert "50 items over 4 epochs" in first.text
    table = second.table.set_index("choice")
    assert table.loc["a"].tolist() == ["5.00", "0.00", "0.00", "0.00", "0.00"]
    assert table.loc["b"].tolist()[4].startswith("3.00 [")
    assert second.caption.startswith("Told. Share of the choice")
    assert "left out" not in second.text


def test_items_the_training_did_not_see_are_counted():
    own = tracked()
    part = report.cartography_parts(own, {"a": [["i00", "new", "newer"]], "b": [["newest"]]})[1]
    assert "3 of 4 chosen items were not in that training" in part.text
    assert part.table["choice"].tolist() == ["a"]
    with pytest.raises(ValueError, match="tracked none of the chosen items"):
        report.cartography_parts(own, {"a": [["new"]]})


def test_without_choices_there_is_the_map_alone():
    assert [part.title for part in report.cartography_parts(tracked(), {})] == ["What the model learned"]


@pytest.fixture
def says(monkeypatch, capsys):
    """Run the command line in this process; give exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["modest", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def pool(tmp_path):
    rng = np.random.default_rng(0)
    label = np.array(list("abc"))[np.arange(90) % 3]
    image = rng.normal(size=(90, 4)) + (label == "a")[:, None]
    split = np.where(np.arange(90) < 60, "train", "test")
    return modest.ingest({"image": image, "label": label, "split": split}, tmp_path / "pool")


def trained(pool, says, *more):
    told = ("--method", "concat", "--epochs", "3", "--name", "first", "--json")
    code, out, err = says("train", pool.path, *told, *more)
    assert code == 0, err
    return json.loads(out)


def test_training_keeps_the_confidence_of_its_items(pool, says):
    told = trained(pool, says, "--track-items")
    assert told["next"] == f"modest report {pool.path} --cartography first"
    noted = Tracked.load(pool.path / "models" / "first")
    assert noted.confidence.shape == noted.correct.shape == (3, len(noted.ids))
    row = {name: k for k, name in enumerate(pool.ids.tolist())}
    rows = [row[name] for name in noted.ids]
    assert set(pool.split[rows]) == {"train"}
    assert noted.label.tolist() == pool.labels[rows].tolist()
    clf = modest.MultimodalClassifier(method="concat", epochs=3)
    again = clf.run(pool, track_items=True).result.dynamics
    np.testing.assert_allclose(noted.confidence, again.confidence, atol=1e-6)
    assert rows == again.rows.tolist()
    trained(pool, says)  # untracked: what was noted of the model before is gone with it
    assert not (pool.path / "models" / "first" / "dynamics.npz").exists()


def test_a_pool_is_reported_with_its_rounds(pool, says, tmp_path):
    trained(pool, says, "--track-items")
    page = ("report", pool.path, "--cartography", "first", "--out", tmp_path / "r.html", "--json")
    code, out, err = says(*page)
    assert code == 0, err
    found = json.loads(out)["sections"]
    assert found == ["Classes", "Near-duplicates", "Modalities", "What the model learned", "Provenance"]
    free = Tracked.load(pool.path / "models" / "first").ids[:6]
    pool.add(modest.select(pool.views(rows=np.flatnonzero(pool.split != "train")), 2, method="random"))
    code, out, err = says(*page)  # of a round that waits for its labels there is nothing to tell
    assert code == 0, err
    assert "Which items a choice prefers" not in json.loads(out)["sections"]
    pool.add(modest.select(pool.views(rows=np.flatnonzero(np.isin(pool.ids, free))), 4, method="kcenter"))
    code, out, err = says(*page)
    assert code == 0, err
    assert json.loads(out)["sections"][-3:-1] == ["What the model learned", "Which items a choice prefers"]
    assert "2: kcenter" in (tmp_path / "r.html").read_text()
    assert "1: random" not in (tmp_path / "r.html").read_text()


def test_a_bench_is_reported_at_the_budget_nearest_five_percent(pool, says, tmp_path):
    trained(pool, says, "--track-items")
    protocol = bench.Protocol(
        pool=pool.path, out=tmp_path / "bench", methods=("random", "kcenter"), budgets=(3, 4, 20), seeds=2
    )
    list(bench.run(protocol))
    page = ("report", protocol.out, "--cartography", "first", "--out", tmp_path / "r.html")
    code, _, err = says(*page)
    assert code == 2
    assert "name that pool by --pool" in err
    code, _, err = says(*page, "--pool", pool.path)
    assert code == 0, err
    text = (tmp_path / "r.html").read_text()
    assert "3 items per choice" in text
    part = report.bench_parts(protocol.out, tracked=Tracked.load(pool.path / "models" / "first"))[-3]
    assert part.table["choice"].tolist() == ["random", "kcenter"]


def test_a_model_that_tracked_nothing_is_refused(pool, says, tmp_path):
    trained(pool, says)
    code, _, err = says("report", pool.path, "--cartography", "first", "--out", tmp_path / "r.html")
    assert code == 2
    assert "--track-items" in err
    code, _, err = says("report", pool.path, "--cartography", "other", "--out", tmp_path / "r.html")
    assert code == 2
    assert "there are first" in err
    assert not (tmp_path / "r.html").exists()
