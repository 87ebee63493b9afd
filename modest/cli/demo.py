"""modest demo: the whole chain on the bundled pool, without a download."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from modest.cli import output
from modest.cli.bench import JOBS, follow


def command(
    out: Path = typer.Option(Path("modest-demo"), help="Folder for the pool, the results and the report."),
    seeds: int = typer.Option(5, help="Seeds of the comparison of selections, and of the recipes."),
    jobs: int = JOBS,
    json: bool = output.JSON,
) -> None:
    """Show what modest does: which labels to buy, then training that tolerates missing modalities, then a report.

    Uses a bundled pool: real handwritten digits, the digits' telephone tones, their names in many languages.

    Example: modest demo --out modest-demo
    """
    from modest import bench, report
    from modest.bench.showcase import labels_protocol, missing_protocol
    from modest.data.demo import demo
    from modest.data.pool import open as open_pool

    pool = open_pool(out / "pool") if (out / "pool" / "config.json").is_file() else demo(out / "pool")
    first, second = (
        labels_protocol(pool.path, out / "labels", seeds),
        missing_protocol(pool.path, out / "missing", seeds),
    )
    follow("which labels to buy", first, json, jobs)
    frame = bench.results(first.out)
    wide = bench.grid(frame, order=first.methods)
    heads = {items: f"{100 * share:.0f} % = {items}" for items, share in _shares(first.out).items()}
    tables = [bench.text(wide, "Accuracy in % of a linear probe after buying labels, mean [95 % interval]", heads)]
    _show(tables[0] + "\n* best of its column, or tied with it", json)
    follow("missing modalities", second, json, jobs)
    wide = bench.grid(bench.results(second.out), across="learner", along="missing", order=second.learners)
    rates = {rate: f"{rate:.0%} missing" for rate in second.missing}
    tables.append(
        bench.text(wide, "Accuracy in % with modalities missing in training and test, mean [95 % interval]", rates)
    )
    _show("\n" + tables[1] + "\n* best of its column, or tied with it", json)
    page = report.bench_page(first.out, pool, "modest demo: what a small budget buys")
    parts = [*page.parts[:1], *report.bench_parts(second.out)[:1], *page.parts[1:]]
    path = report.write(replace(page, parts=parts), out / "report.html")
    payload = {
        "report": path,
        "pool": pool.path,
        "labels": bench.summarise(frame).to_dict("records"),
        "missing": bench.summarise(bench.results(second.out)).to_dict("records"),
    }
    output.finish(payload, json, ["", f"report in {path}"], f"modest select {pool.path} --budget 50")


def _shares(folder: Path) -> dict[int, float]:
    from modest import bench

    sets = bench.about_bench(folder)["sets"]
    return {int(items): share for told in sets.values() for items, share in told["budget_share"].items()}


def _show(text: str, json: bool) -> None:
    if not json:
        typer.echo(text)
