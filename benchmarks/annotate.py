"""People at the page, all at once: is any answer lost or doubled, how long does one wait, and what do a million cost.

    python -m benchmarks.annotate answers [--pause S]       # 20 annotators, 5,000 answers over HTTP; about a minute
    python -m benchmarks.annotate million [--items N]       # a pool of that size: making, looking up, paging; minutes

Annotators ask for tasks two at a time, as the page does, think for ``--pause`` seconds on average (exponential; 0 for
as fast as they can), answer, and send every twentieth answer twice. Meanwhile another process inserts one row at a time
into an SQLite file of the same folder, WAL and synchronous=FULL as the store's, and times it: what one durable insert
costs at that load. At the end the store is opened anew and compared with what was acknowledged.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ("cat", "dog", "bird")
INSERTS = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA synchronous = FULL")
connection.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, told TEXT)")
while True:
    start = time.perf_counter()
    connection.execute("INSERT INTO row (told) VALUES (?)", ("x" * 100,))
    print(time.perf_counter() - start, flush=True)
    time.sleep(0.02)
"""


class Annotator:
    """One browser, as far as the server can tell."""

    def __init__(self, address: str, name: str) -> None:
        self.name, self.cookie, self.token = name, "", ""
        self._connection = http.client.HTTPConnection(*address.split("/")[2].split(":"), timeout=120)
        csrf = re.search(r'name="csrf" (?:content|value)="([0-9a-f]+)"', self.ask("GET", "/who"))
        assert csrf is not None
        self.ask("POST", "/who", f"name={name}&csrf={csrf[1]}", "application/x-www-form-urlencoded")
        csrf = re.search(r'name="csrf" (?:content|value)="([0-9a-f]+)"', self.ask("GET", "/help"))
        assert csrf is not None
        self.token = csrf[1]

    def ask(self, method: str, path: str, body: str | None = None, kind: str = "application/json") -> str:
        """Text of the answer to one request."""
        headers = {"Content-Type": kind, "X-CSRF-Token": self.token, "Cookie": self.cookie}
        sent = {name: value for name, value in headers.items() if value}
        try:
            self._connection.request(method, path, body, sent)
            response = self._connection.getresponse()
        except ConnectionError:  # closed after being idle for long; opened anew, as browsers do
            self._connection.close()
            self._connection.request(method, path, body, sent)
            response = self._connection.getresponse()
        text = response.read().decode()
        if response.status >= 400:
            raise OSError(f"{method} {path} was answered by {response.status}: {text[:200]}")
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                self.cookie = value.partition(";")[0]
        return text

    def work(self, pause: float, seed: int, told: list[tuple[float, int, int, str, str]]) -> None:
        """Answer until nothing is left; (seconds, number, task, annotator, label) of every acknowledged answer."""
        rng = np.random.default_rng(seed)
        while tasks := json.loads(self.ask("GET", "/api/next"))["tasks"]:
            time.sleep(float(rng.exponential(pause)) if pause else 0)
            label = str(rng.choice(CLASSES))
            said = {"task": tasks[0]["number"], "verdict": "label", "value": [label], "seconds": 1.0}
            body = json.dumps({**said, "key": f"{self.name}-{tasks[0]['number']}"})
            for _ in range(2 if rng.random() < 0.05 else 1):
                start = time.perf_counter()
                number = json.loads(self.ask("POST", "/api/answer", body))["said"]
                told.append((time.perf_counter() - start, number, said["task"], self.name, label))


@contextmanager
def served(pool: Path) -> Iterator[str]:
    """Address of a server of a pool, until the end of the block."""
    command = [sys.executable, "-m", "modest.cli", "annotate", str(pool), "--whole", "--port", "0", "--json"]
    command += [part for name in CLASSES for part in ("--class", name)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = str(json.loads(server.stdout.readline())["address"])
        yield address
        if server.poll() is not None:
            raise OSError(f"the server ended by itself, with {server.returncode}.")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def answers(people: int, count: int, pause: float) -> dict[str, Any]:
    """Run all annotators to the end and say what the store holds."""
    import modest
    from modest.annotation.store import Store

    told: list[tuple[float, int, int, str, str]] = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        table = {"id": [f"item {k}" for k in range(count)], "text": [f"caption number {k}" for k in range(count)]}
        import pandas as pd

        pool = modest.ingest(pd.DataFrame(table).assign(split="train"), Path(folder) / "pool").path
        insert = [sys.executable, "-c", INSERTS, str(Path(folder) / "one.sqlite")]
        with served(pool) as address:
            at_work = [Annotator(address, f"annotator-{k}") for k in range(people)]
            alone = subprocess.Popen(insert, stdout=subprocess.PIPE, text=True)
            threads = [
                threading.Thread(target=one.work, args=(pause, k, told), daemon=True) for k, one in enumerate(at_work)
            ]
            start = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            took = time.perf_counter() - start
            alone.kill()
            inserts = [float(line) for line in alone.communicate()[0].splitlines()]
        with Store(pool) as store:
            said = {(one.number, one.task, one.annotator, one.value[0]) for one in store.said(limit=10 * count)}
            stands, done = list(store.standing()), store.progress().done
    acknowledged = {one[1:] for one in told}
    waited = np.array([one[0] for one in told])
    return {
        "annotators": people, "pause": pause, "seconds": took, "requests": len(told), "answers": len(acknowledged),
        "lost": len(acknowledged - said), "unasked": len(said - acknowledged), "done": done,
        "doubled": sum(len(found) > 1 for _, found in stands) + len(said) - len({one[1:3] for one in said}),
        "median": float(np.median(waited)), "p95": float(np.quantile(waited, 0.95)), "inserts": len(inserts),
        "insert": float(np.median(inserts)), "ratio": float(np.median(waited) / np.median(inserts)),
    }  # fmt: skip


def large_pool(folder: Path, n: int) -> None:
    """Write a pool of pictures and captions without holding it in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from modest.data import files

    words = np.array(["the", "dog", "cat", "park", "runs", "red", "blue", "house", "sky", "two", "horse", "beach"])
    rng, ids = np.random.default_rng(0), np.array([f"item{k:07d}" for k in range(n)])
    folder.mkdir()
    writer = None
    for start in range(0, n, 50_000):
        names = ids[start : start + 50_000].tolist()
        text = [" ".join(row) for row in words[rng.integers(0, len(words), (len(names), 9))]]
        columns = {"id": names, "image": [f"images/{name}.jpg" for name in names], "text": text}
        label = pa.array([None] * len(names), pa.string())
        table = pa.table({**columns, "label": label, "split": ["train"] * len(names)})
        writer = writer or pq.ParquetWriter(folder / "pool.parquet", table.schema, compression="zstd")
        writer.write_table(table)
    assert writer is not None
    writer.close()
    about = {"kind": "pool", "format": 1, "items": n, "rows": files.rows_hash(ids), "modalities": {}}
    files.write_json(folder / "config.json", about)


def memory() -> float:
    """MB that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def million(n: int) -> dict[str, Any]:
    """What a large pool costs: seconds and MB to make store and catalogue, milliseconds of every query of the page."""
    from modest.annotation.catalogue import FILE, Catalogue
    from modest.annotation.gather import tasks_of
    from modest.annotation.store import Store
    from modest.data.pool import open as open_pool

    found: dict[str, Any] = {"items": n}
    with tempfile.TemporaryDirectory(dir=".") as place:
        folder = Path(place) / "pool"
        make = [sys.executable, "-m", "benchmarks.annotate", "pool", str(folder), "--items", str(n)]
        subprocess.run(make, check=True)
        pool = open_pool(folder)
        import pyarrow.parquet  # noqa: F401 - what it takes to load is not the pool's

        found["memory before"] = memory()
        start = time.perf_counter()
        catalogue = Catalogue(pool)
        found |= {"catalogue seconds": time.perf_counter() - start, "memory catalogue": memory()}
        found["catalogue MB"] = (folder / FILE).stat().st_size / 1e6
        start = time.perf_counter()
        store = Store(folder, redundancy=2)
        found["tasks"] = store.add(tasks_of(pool, whole=True))
        found |= {"tasks seconds": time.perf_counter() - start, "memory tasks": memory()}
        found["store MB"] = store.path.stat().st_size / 1e6
        found |= {"ms": _queries(store, catalogue, n), "memory after": memory()}
        store.close()
        catalogue.close()
    return found


def _queries(store: Any, catalogue: Any, n: int) -> dict[str, float]:
    """Median milliseconds of 50 calls of every query; 2,000 pages of tasks and of a search are read on the way."""
    for number in range(1, 2001):  # somebody has been at work
        store.answer(number, "ada", "label", ["cat"])
    rng = np.random.default_rng(1)
    rows = iter(rng.integers(0, n, 500).tolist())
    calls = {
        "next of a newcomer": lambda: store.next("bob", count=2),
        "next after 2,000 answers": lambda: store.next("ada", count=2),
        "answer (durable)": lambda: store.answer(next(rows) + 1, "cy", "unsure"),
        "progress": lambda: store.progress(),
        "page of tasks in the middle": lambda: store.tasks(after=(0, next(rows)), limit=50),
        "item": lambda: catalogue.item(f"item{next(rows):07d}"),
        "search of a common word": lambda: catalogue.search("dog", "image", after=next(rows)),
        "search of two words": lambda: catalogue.search("dog park", "image", after=next(rows)),
        "search of part of an id": lambda: catalogue.search(f"{next(rows):07d}"),
        "search of one letter": lambda: catalogue.search("i"),
    }
    found = {}
    for name, call in calls.items():
        took = []
        for _ in range(50):
            start = time.perf_counter()
            call()
            took.append(1000 * (time.perf_counter() - start))
        found[name] = float(np.median(took))
    after: Any = None
    at = 0
    for _ in range(2000):
        after = [(one.round, one.place) for one in store.tasks(after=after, limit=50)][-1]
        at = catalogue.search("dog", limit=20, after=at)[-1].row + 1
    return found


def main() -> None:
    """Run one part and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("answers", "million", "pool"))
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--items", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.part == "pool":
        large_pool(given.folder, given.items)
        return
    found = million(given.items) if given.part == "million" else answers(given.people, given.count, given.pause)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
