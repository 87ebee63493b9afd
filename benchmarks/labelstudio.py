"""``make check-labelstudio``: the round trip through Label Studio's own SDK, in a virtual environment of its own.

A pool with awkward names (markup, quotes, commas, other alphabets, members of a zip) asks for labels and, in both
directions, for pairs. What ``modest labels export`` writes is parsed and checked by the SDK; three people answer by a
script drawn from a seed (they choose, type, cannot tell, submit nothing, skip); the SDK's converter writes what they
said as JSON-MIN, CSV and TSV beside JSON; and ``modest labels add`` reads each into a copy of the pool. What the pool
then holds is compared with a count of the script's answers that uses nothing of modest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from typer.testing import CliRunner

import modest
from modest.cli import app
from modest.data.pairs import read_pairs
from modest.rounds.asking import ask

CLASSES = ("cat", "<b>dog</b>", 'a "quoted", one', "Käse & Brot", "[1]", "дом", "{x}", "5")
PEOPLE, NONE, UNSURE = (1, 2, 3), "none of these", "cannot tell"
DOES = ("likely", "any", "typed", "unsure", "empty", "skipped")
FORMATS = {"JSON": "export.json", "JSON-MIN": "min.json", "CSV": "export.csv", "TSV": "export.tsv"}


def label_pool(folder: Path, n: int = 48) -> Path:
    """Pictures (every other one in a zip) with captions, a third of them labelled; a round of all others."""
    draw, paths = np.random.default_rng(0), []
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        for k in range(n):
            place = folder / f"picture {k}&.png"
            Image.fromarray(draw.integers(0, 255, (6, 5, 3), dtype=np.uint8)).save(place)
            archive.write(place, f"in/{k}.png")
            paths.append(str(place) if k % 2 else f"{folder}/packed.zip!in/{k}.png")
    frame = pd.DataFrame(
        {
            "id": [f"item <{k}>, \"{'äöü'[k % 3]}\"" for k in range(n)],
            "image": paths,
            "text": [None if k % 7 == 3 else f"<script>alert({k})</script>, \"{k}\"\nand more" for k in range(n)],
            "label": [CLASSES[k % len(CLASSES)] if k % 3 == 0 else None for k in range(n)],
            "x": [draw.normal(size=4) for _ in range(n)],
        }
    )
    pool = modest.ingest(frame, folder / "labels")
    known = np.array([label is not None for label in pool.labels])
    pool.add(modest.select(pool.views(), int((~known).sum()), "kcenter", taken=known))
    return pool.path


def pair_pool(folder: Path, side: str, n: int = 40) -> Path:
    """Pictures and captions taken apart; a round that asks about one side."""
    draw = np.random.default_rng(1)
    image = draw.normal(size=(n, 6)).astype(np.float32)
    text = (image + 0.3 * draw.normal(size=(n, 6))).astype(np.float32)
    pool = modest.ingest({"image": image, "text": text}, folder / side, unpair=("image", "text"))
    frame = pool.table
    frame["text"] = [f"<i>{name}</i>, \"quoted\"" if name.startswith("text") else None for name in frame["id"]]
    pool.save()
    other = {"image": "text", "text": "image"}[side]
    ask(modest.open(pool.path), 12, "random", directions=[(side, other)], shortlist=5)
    return pool.path


def script(tasks: list[dict[str, Any]], seed: int) -> list[list[dict[str, Any]]]:
    """What three people do with every task."""
    draw = np.random.default_rng(seed)
    answers = []
    for task in tasks:
        listed = task["data"].get("shortlist")
        words = [str(k + 1) for k in range(len(listed))] + [NONE] if listed is not None else list(CLASSES)
        likely = words[draw.integers(len(words))]
        said = []
        for who in PEOPLE:
            what = draw.choice(DOES, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
            word = likely if what in ("likely", "skipped") else words[draw.integers(len(words))]
            free = listed[0] if listed else "ein neues, \"Wort\""
            others = {"typed": {"typed": free}, "unsure": {"choice": UNSURE}, "empty": {}}
            done = others.get(str(what), {"choice": word})
            said.append({"by": who, **done, **({"skipped": True} if what == "skipped" else {})})
        answers.append(said)
    return answers


def counted(tasks: list[dict[str, Any]], answers: list[list[dict[str, Any]]]) -> dict[str, str]:
    """{id: what most said}, ties, "cannot tell" and silence left out; partners by id."""
    found = {}
    for task, said in zip(tasks, answers):
        listed, votes = task["data"].get("shortlist"), Counter[str]()
        for one in said:
            word = one.get("typed") or one.get("choice")
            if word is None or one.get("skipped"):
                continue
            votes[listed[int(word) - 1] if listed and word.isdigit() and "typed" not in one else word] += 1
        best = votes.most_common(2)
        if best and best[0][0] != UNSURE and (len(best) < 2 or best[0][1] > best[1][1]):
            found[task["data"]["item_id"]] = best[0][0]
    return found


def held(pool: Path, before: dict[str, Any]) -> dict[str, str]:
    """{id: label, or partner} that a pool has and had not before."""
    if (pool / "pairs.parquet").is_file():
        table = read_pairs(pool)
        return {row.id_a: row.id_b if row.status == "matched" else NONE
                for row in table.itertuples() if row.status != "skipped"}  # fmt: skip
    opened = modest.open(pool)
    return {name: label for name, label in zip(opened.ids.tolist(), opened.labels) if label and name not in before}


def command(*arguments: object) -> dict[str, Any]:
    """A command's JSON, run in this process."""
    return dict(json.loads(CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False).stdout))


def trip(pool: Path, folder: Path, sdk: Path, seed: int) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """What the SDK says of an export, and per format: decisions, those that came back, the same a second time."""
    command("labels", "export", pool, "--to", "label-studio", "--out", folder)
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    answers = script(tasks, seed)
    (folder / "answers.json").write_text(json.dumps(answers))
    line = [str(sdk), "-I", str(Path(__file__).with_name("labelstudio_sdk.py")), str(folder)]
    told = json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout)
    wanted, rows = counted(tasks, answers), []
    opened = modest.open(pool)
    before = {name: label for name, label in zip(opened.ids.tolist(), opened.labels) if label}
    more = () if (pool / "rounds" / "1" / "query.parquet").is_file() else ("--new-classes",)
    for name, file in FORMATS.items():
        copy = folder / "pool"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(pool, copy)
        first, again = (command("labels", "add", copy, folder / file, *more) for _ in range(2))
        (one,), (two,) = (tuple(each["reports"].values()) for each in (first, again))
        same = two["added"] == 0 and two["unchanged"] == one["added"]
        rows.append((name, first["cancelled"], len(wanted), one["added"], held(copy, before) == wanted, same))
    return told, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdk", type=Path, default=Path("build/labelstudio/bin/python"))
    parser.add_argument("--into", type=Path, help="Markdown file of what came out.")
    given = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        pools = {"labels": label_pool(place)}
        pools |= {f"pairs, asked about {side}": pair_pool(place, side) for side in ("image", "text")}
        for seed, (what, pool) in enumerate(pools.items()):
            (place / f"ls{seed}").mkdir()
            told, rows = trip(pool, place / f"ls{seed}", given.sdk, seed)
            fits = told["fitting"] == told["tasks"] and not told["odd predictions"] and not told["odd answers"]
            lines += [(what, told, rows, fits)]
    text = page(lines)
    if given.into:
        given.into.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    if not all(fits and all(row[4] and row[5] for row in rows) for _, _, rows, fits in lines):
        sys.exit("the round trip changed an answer")


def page(lines: list[tuple[str, dict[str, Any], list[tuple[Any, ...]], bool]]) -> str:
    """What came out, as Markdown."""
    sdk, yes = lines[0][1], {True: "yes", False: "NO"}
    about = (__doc__ or "").split("\n\n")[1].replace("``", "`").strip()
    checked = [f"| {what} | {told['tasks']} | {yes[fits]} | {told['annotations']} |" for what, told, _, fits in lines]
    back = [
        f"| {what} | {name} | {skipped} | {wanted} | {added} | {yes[right]} | {yes[same]} |"
        for what, _, rows, _ in lines
        for name, skipped, wanted, added, right, same in rows
    ]
    return f"""# The round trip through Label Studio's SDK

`make check-labelstudio` wrote this page, with label-studio-sdk {sdk["sdk"]} (and its numpy {sdk["numpy"]}) in a virtual
environment of its own.

{about}

## What the SDK says of what we write

The configuration parses, every task has what it shows, every prediction and every answer fits the configuration.

| export | tasks | all valid | answers given |
|---|---|---|---|
{chr(10).join(checked)}

## What comes back

*Settled*: questions on which one answer is ahead and is not "cannot tell". The flat exports (JSON-MIN, CSV, TSV) leave
skipped answers out by themselves, so that none are reported there.

| export | read from | skipped | settled | added | the pool holds what was counted | again: nothing new |
|---|---|---|---|---|---|---|
{chr(10).join(back)}
"""


if __name__ == "__main__":
    main()
