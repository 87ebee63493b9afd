"""``modest labels``: what people said comes in, open questions and tags go out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modest.cli.output import JSON, finish

if TYPE_CHECKING:
    from modest.annotation.handing_over import Handed
    from modest.annotation.labels import Report
    from modest.annotation.labelstudio import Told

app = typer.Typer(
    help="""Take in what people said; hand questions, labels and tags over to other tools.

    Example: modest labels add pool
    """,
    no_args_is_help=True,
)
TOOLS = ("label-studio", "csv", "jsonl", "fiftyone", "lightly", "datacomp")
FEW = 5  # lines of a kind that are printed; --json has all


@app.command("add")
def add(
    pool: Path = typer.Argument(..., help="Pool folder."),
    file: Path | None = typer.Argument(None, help="Answers: .json of Label Studio, .csv .tsv .jsonl; else the page's."),
    rule: str = typer.Option("majority", "--rule", help="One answer of several: majority, unanimous, adjudicated."),
    adjudicator: str = typer.Option("", "--adjudicator", help="Who decides under --rule adjudicated."),
    minimum: int = typer.Option(1, "--minimum", help="Answers that a question needs."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace labels the pool has already."),
    new: bool | None = typer.Option(
        None, "--new-classes/--known-classes", help="Take in classes the pool lacks; default: only if it has none."
    ),
    json: bool = JSON,
) -> None:
    """Take labels and pairs that people gave into the pool, and report all that did not fit.

    Without FILE it takes what was said on the page of `modest annotate`. The same answers again change nothing.

    Example: modest labels add pool
    Example: modest labels add pool project-1-at-2026-11-22.json --minimum 2
    Example: modest labels add pool labels.csv --rule adjudicated --adjudicator ada
    """
    from dataclasses import asdict

    import modest
    from modest.annotation.exchange import PAGE, read_answers
    from modest.annotation.handing_over import all_classes
    from modest.annotation.labels import Rule, add_labels, add_pairs

    how, classes = Rule(rule, adjudicator, minimum, overwrite), all_classes(modest.open(pool))
    told = read_answers(file) if file is not None else _page(pool)
    labels = [one for one in told.opinions if one.kind == "label"]
    pairs = [one for one in told.opinions if one.kind == "pair"]
    source = PAGE if file is None else file.name
    reports = [add_pairs(pool, pairs, how)] if pairs else []
    if labels or not pairs:
        reports.insert(0, add_labels(pool, labels, source, how, new, classes))
    text = [line for one in reports for line in _lines(one)]
    text += [f"{told.cancelled} skipped by whoever was asked"] if told.cancelled else []
    text += [f"{told.empty} without an answer"] if told.empty else []
    payload = {"pool": str(pool), "source": source, "cancelled": told.cancelled, "empty": told.empty}
    left = sum(one.left for one in reports)
    following = f"modest annotate {pool}" if left else f"modest pair train {pool}" if not labels and pairs else None
    payload["reports"] = {one.kind: asdict(one) for one in reports}
    finish(payload, json, text, following or f"modest train {pool}")


def _page(pool: Path) -> Told:
    """What was said on the page."""
    from modest.annotation.exchange import said_on_page
    from modest.annotation.labelstudio import Told
    from modest.annotation.schema import FILE
    from modest.annotation.store import Store

    if not (pool / FILE).is_file():
        raise ValueError(f"{pool} has no answers of the page yet; name a file, or run: modest annotate {pool}")
    with Store(pool) as store:
        return Told(tuple(said_on_page(store.standing())))


def _lines(one: Report) -> list[str]:
    """A report in words, the first few of every list."""
    what = "labels" if one.kind == "label" else "questions about partners"
    text = [f"{what}: {one.added} added, {one.overwritten} overwritten, {one.unchanged} known already"]
    differ = [
        f"{name}: {', '.join(f'{who} {word}' for who, word in said.items())} -> {made or 'left open'}"
        for name, said, made in one.differ
    ]
    kept = [f"{name}: {stays} stays, {said} was said" for name, stays, said in one.kept]
    text += _some("people differ on", differ)
    text += _some("answered otherwise before, and kept (--overwrite replaces it)", kept)
    text += _some("ids that are unknown or were not asked, left out", one.unknown_ids)
    odd = [f"{word} ({times})" for word, times in one.unknown_classes.items()]
    text += _some("classes the pool does not know, left out (--new-classes takes them in)", odd)
    text += _some("new classes", one.new_classes)
    text += _some("nobody could tell", one.cannot_tell)
    text += _some("ties, left open", one.ties)
    text += _some("no agreement, left open", one.undecided)
    text += _some("too few answers, left open", one.few)
    text += _some("odd, and kept", one.flags)
    return [*text, f"{one.left} {'items chosen' if one.kind == 'label' else 'questions'} wait for an answer"]


def _some(title: str, lines: Sequence[str]) -> list[str]:
    shown = [f"  {line}" for line in lines[:FEW]]
    more = [f"  and {len(lines) - FEW} more; --json lists all"] if len(lines) > FEW else []
    return [f"{title}: {len(lines)}", *shown, *more] if lines else []


@app.command("export")
def export(
    pool: Path = typer.Argument(..., help="Pool folder."),
    to: str = typer.Option(..., "--to", help="label-studio, csv, jsonl, fiftyone, lightly, datacomp."),
    number: int | None = typer.Option(None, "--round", help="This round; the newest open one, for tags all."),
    out: Path | None = typer.Option(None, "--out", help="File to write; for label-studio a folder."),
    url: str | None = typer.Option(None, "--url", help="Label Studio: where media are served, as http://host/media."),
    root: Path | None = typer.Option(None, "--root", help="Label Studio: the folder that is served, above all media."),
    medium: str | None = typer.Option(None, "--medium", help="fiftyone, lightly: the column that names the files."),
    json: bool = JSON,
) -> None:
    """Hand over to another tool: open questions, labels with who said what, tags of what was chosen, DataComp's uids.

    Media are named by URL, never put into the file. Without --url they are Label Studio's local files.

    Example: modest labels export pool --to label-studio
    Example: modest labels export pool --to csv --out labels.csv
    Example: modest labels export pool --to fiftyone --round 1
    """
    import modest
    from modest.annotation.handing_over import to_label_studio, who_said_what, write_rows
    from modest.annotation.labels import COLUMNS
    from modest.annotation.tags import MORE, PATHS, tags, uids
    from modest.checks import known

    known(to, TOOLS, "--to")
    asked: dict[str, tuple[Any, Sequence[str]]] = {"--url": (url, TOOLS[:1]), "--root": (root, TOOLS[:1])}
    asked |= {"--medium": (medium, tuple(PATHS)), "--round": (number, ("label-studio", *PATHS, "datacomp"))}
    for option, (value, tools) in asked.items():
        if value is not None and to not in tools:
            raise ValueError(f"{option} goes with --to {', '.join(tools)}; leave it out for {to}.")
    opened, rounds = modest.open(pool), None if number is None else [number]
    if to == "label-studio":
        _handed(pool, to_label_studio(opened, number, out, url, root), url, json)
        return
    path = out or pool / {"csv": "labels.csv", "jsonl": "labels.jsonl", "datacomp": "uids.npy"}.get(to, f"{to}.csv")
    if to == "datacomp":
        count = uids(opened, path, rounds)
    else:
        rows = who_said_what(opened) if to in ("csv", "jsonl") else tags(opened, to, rounds, medium)
        columns = (*COLUMNS, "known") if to in ("csv", "jsonl") else (PATHS[to], "tags", *MORE)
        write_rows(path, rows, columns, lines=to == "jsonl")
        count = len(rows)
    payload = {"pool": str(pool), "to": to, "file": str(path), "rows": count}
    finish(payload, json, [f"{count} rows", f"written: {path}"], f"modest report {pool}")


def _handed(pool: Path, handed: Handed, url: str | None, json: bool) -> None:
    """End an export to Label Studio with what is left to do there."""
    text = [f"{handed.tasks} tasks", *(f"written: {path}" for path in handed.files)]
    text += [f"{handed.unpacked} members of archives unpacked beside them"] if handed.unpacked else []
    if handed.root is not None and url is None:
        env = "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
        text += ["start Label Studio with", f"  {env}={handed.root}", f"and add the local storage {handed.folder}"]
    elif handed.root is not None:
        text += [f"serve {handed.root} as {url}"]
    payload: dict[str, Any] = {"pool": str(pool), "to": "label-studio", "tasks": handed.tasks}
    payload |= {"files": list(map(str, handed.files)), "unpacked": handed.unpacked}
    payload |= {"root": handed.root and str(handed.root), "folder": handed.folder and str(handed.folder)}
    finish(payload, json, text, f"modest labels add {pool} EXPORT.json  (what Label Studio exports, once it is done)")
