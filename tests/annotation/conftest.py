"""A small pool with every kind of medium, tasks about it, and its page as a browser would call it."""

import re
import shutil
import tarfile
import wave
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import modest

N = 12
HERE = "http://127.0.0.1:8765"
EVIL = '<script>alert("id")</script>'
CAPTION = "<img src=x onerror=alert(1)> & a 'caption'"


def beep(path, seconds=1):
    time = np.arange(4000 * seconds) / 4000
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(4000)
        out.writeframes((9000 * np.sin(880 * np.pi * time)).astype("<i2").tobytes())


@pytest.fixture(scope="session")
def zoo_made(tmp_path_factory):
    """Twelve items: pictures (2 gone, 3 a text, 4 a TIFF, 5 in a zip), beeps (0 plain, 1 in a tar, 2 cut), captions."""
    media = tmp_path_factory.mktemp("zoo media")
    draw = np.random.default_rng(0)
    names = [media / f"{k:02d}.{'tif' if k == 4 else 'png'}" for k in range(N)]
    for name in names:
        Image.fromarray(draw.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(name)
    names[2].unlink()
    names[3].write_text("no picture")
    with zipfile.ZipFile(media / "more.zip", "w") as pack:
        pack.write(names[5], "a/five.png")
    beep(media / "beep.wav")
    with tarfile.open(media / "beeps.tar", "w") as pack:
        pack.add(media / "beep.wav", "one.wav")
    sounds = [f"{media}/beep.wav", f"{media}/beeps.tar!one.wav", f"{media}/beep.wav#t=0.25,0.5"]
    frame = pd.DataFrame(
        {
            "id": [EVIL if k == 6 else "../../../etc/passwd" if k == 7 else f"item-{k:02d}" for k in range(N)],
            "image": [f"{media}/more.zip!a/five.png" if k == 5 else str(name) for k, name in enumerate(names)],
            "audio": [*sounds, *[None] * (N - 3)],
            "text": [{6: CAPTION, 8: None}.get(k, f"thing number {k} in a long caption") for k in range(N)],
            "place": ["north" if k % 2 else "south" for k in range(N)],
            "label": [None] * N,
            "split": ["train"] * N,
        }
    )
    vectors = {"sensor": draw.normal(size=(N, 100)).astype(np.float32)}
    return modest.ingest(frame, tmp_path_factory.mktemp("zoo") / "pool", views=vectors).path


@pytest.fixture
def zoo(zoo_made, tmp_path):
    """The pool of pictures, beeps and captions, as a copy that may be written to."""
    return shutil.copytree(zoo_made, tmp_path / "pool")


def label_tasks(ids, count=8):
    from modest.annotation.task import Task

    return [Task(1, "label", k, ids[k], "hash", 0.5, f"far from all others ({k})") for k in range(count)]


def pair_tasks(ids, count=4):
    from modest.annotation.task import Task

    lists = [tuple(ids[(k + j) % len(ids)] for j in range(1, 5)) for k in range(count)]
    return [Task(2, "pair", k, ids[k], "hash", 0.1, "unsure", "image", "text", lists[k]) for k in range(count)]


@pytest.fixture
def page(zoo):
    """Make a page of the zoo with tasks in its store: ``page(kind="label", ...)`` has app, store, ids, browser()."""
    pytest.importorskip("starlette", reason="the extra `web` is not installed")
    from starlette.testclient import TestClient

    from modest.annotation.catalogue import Catalogue
    from modest.annotation.server import app
    from modest.annotation.store import Store

    opened = []

    def make(kind="label", redundancy=1, classes=("cat", "dog"), tasks=None, lease=600.0, **options):
        pool = modest.open(zoo)
        ids = pool.ids.tolist()
        store, catalogue = Store(zoo, redundancy=redundancy, lease=lease), Catalogue(pool)
        opened.extend([store, catalogue])
        store.add({"label": label_tasks, "pair": pair_tasks}[kind](ids) if tasks is None else tasks)
        made = app(pool, store, catalogue, classes=classes, redundancy=redundancy, lease=lease, **options)

        def browser(name=None, base=HERE):
            client = TestClient(made, base_url=base, follow_redirects=True, raise_server_exceptions=True)
            if name is not None:
                enter(client, name)
            return client

        return SimpleNamespace(app=made, store=store, pool=pool, ids=ids, browser=browser, desk=made.state.desk)

    yield make
    for one in opened:
        one.close()


def csrf(client, path="/who"):
    """The token that a page of this browser carries."""
    return re.search(r'name="csrf" (?:content|value)="([0-9a-f]+)"', client.get(path).text)[1]


def enter(client, name):
    answer = client.post("/who", data={"name": name, "csrf": csrf(client)})
    assert answer.status_code == 200, answer.text
    client.headers["x-csrf-token"] = csrf(client, "/help")
    return answer
