"""The demo, one seed, in this process."""

import sys

import pytest

from modest.bench import results
from modest.cli import main
from modest.cli.demo import command


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["modest", "demo", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code, capsys.readouterr().out


def test_the_demo_prints_both_tables_and_writes_the_report(tmp_path, monkeypatch, capsys):
    out = tmp_path / "demo"
    code, text = run(monkeypatch, capsys, "--out", out, "--seeds", "1", "--jobs", "1")
    assert code == 0
    frame, missing = results(out / "labels"), results(out / "missing")
    for method in ("auto", "random", "kcenter", "kmeans", "activeft", "mmcsal", "maxherding"):
        own = frame[frame["method"] == method].sort_values("items")
        assert own["items"].tolist() == [12, 25, 62, 125]  # 1, 2, 5, 10 % of 1258 training rows
        line = next(line for line in text.splitlines() if line.startswith(method))
        for value in own["accuracy"]:
            assert f"{100 * value:.1f} [" in line
    assert sorted(missing["missing"].unique()) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert set(missing["learner"]) == {"mla", "late"}
    assert f"report in {out / 'report.html'}" in text
    assert text.splitlines()[-1].startswith("next: modest")
    page = (out / "report.html").read_bytes()
    assert page.count(b"<svg") == 7, "those of a bench, and the curves by missing rate"
    assert run(monkeypatch, capsys, "--out", out, "--seeds", "1", "--jobs", "1")[0] == 0
    assert (out / "report.html").read_bytes() == page


def test_the_default_is_at_least_three_seeds():
    assert command.__defaults__[1].default >= 3
