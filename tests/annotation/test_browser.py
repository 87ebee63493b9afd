"""The whole loop in a real browser, as somebody new would try it; MODEST_SCREENSHOTS=FOLDER keeps pictures of it.

Needs Chromium (``chromium`` on the path, or MODEST_CHROMIUM); without one these tests are left out, never in CI.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import modest
from modest.annotation.store import Store
from modest.data.pairs import read_pairs
from tests.annotation.conftest import beep
from tests.annotation.scenes import KINDS, scenes

NAMES = ("chromium", "chromium-browser", "google-chrome")
READY = "#work[data-state=ready][data-unsaved='0']"


@pytest.fixture(scope="module")
def browser():
    place = os.environ.get("MODEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if place is None:
        told = "no Chromium is here, which these tests drive; install one, or name it by MODEST_CHROMIUM."
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=place, args=quiet)
        yield found
        found.close()


def run(*told):
    """One command of the command line; what it says as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "modest.cli", *map(str, told), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def started(pool, port=0):
    """A process that serves the page of a pool, and its address."""
    command = [sys.executable, "-u", "-m", "modest.cli", "annotate", str(pool), "--port", str(port), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            return process, found[0]
    pytest.fail("the server told no address")


@contextmanager
def served(pool, port=0):
    """The page of a pool, its address; stopped as by Ctrl-C."""
    process, address = started(pool, port)
    with process:
        try:
            yield address
        finally:
            process.send_signal(2)
            assert process.wait(timeout=60) == 0


def enter(context, address, name):
    page = context.new_page()
    page.goto(address)
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#work")
    return page


def shoot(page, name):
    folder = os.environ.get("MODEST_SCREENSHOTS")
    if folder:
        page.wait_for_function("() => [...document.images].every((one) => one.complete)")
        page.wait_for_timeout(250)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def on_show(page):
    """(number, kind, id) of the task that can be seen."""
    page.wait_for_selector(READY)
    told = "(one) => [Number(one.dataset.task), one.dataset.kind, one.dataset.id]"
    return page.eval_on_selector("#stage .task", told)


def answer(page, truth, partner):
    """Answer what is on show by keys alone; the number of its task."""
    number, kind, name = on_show(page)
    if kind == "label":
        button = page.query_selector(f'#classes [data-class="{truth[name]}"]')
        if button is None:  # nobody has named this class yet
            page.keyboard.press("/")
            page.keyboard.type(truth[name])
            page.keyboard.press("Shift+Enter")
        else:
            page.keyboard.press(button.get_attribute("data-key"))
    else:
        listed = page.query_selector(f'#stage .candidate[data-partner="{partner[name]}"] .choose')
        if listed is None:
            page.keyboard.press("/")
            page.keyboard.type(partner[name])
            page.wait_for_selector(f'#stage .results .candidate[data-partner="{partner[name]}"]')
            page.keyboard.press("Enter")
        else:
            page.keyboard.press(listed.get_attribute("data-key"))
    page.wait_for_function("(n) => document.querySelector('#work').dataset.task !== String(n)", arg=number)
    return number


def until_nothing_is_left(page, truth, partner):
    said = []
    while True:
        page.wait_for_selector(f"{READY}, #work[data-state=empty]")
        if page.get_attribute("#work", "data-state") == "empty":
            return said
        said.append(answer(page, truth, partner))


@pytest.mark.timeout(600)
def test_the_whole_loop(browser, tmp_path):
    pool, truth, partner = scenes(tmp_path)
    partner |= {caption: picture for picture, caption in partner.items()}
    place = pool.path
    assert run("next", place)["action"] == "pair choose"
    run("select", place, "--budget", "20")
    run("pair", "choose", place, "--budget", "10")
    assert run("next", place)["action"] == "annotate"
    with served(place) as address:
        desk = browser.new_context(viewport={"width": 1180, "height": 800})
        ann = enter(desk, address, "Ann")
        first = answer(ann, truth, partner)
        second = on_show(ann)[0]
        ann.keyboard.press("u")  # taken back: it is asked again, and what came up stays next
        ann.wait_for_selector(f"#work[data-task='{first}']")
        assert answer(ann, truth, partner) == first
        for _ in range(4):
            answer(ann, truth, partner)
        while not on_show(ann)[2].startswith("picture"):
            first = answer(ann, truth, partner)
        shoot(ann, "annotate-label")
        ann.reload()
        assert on_show(ann)[0] not in (first, second), "what is answered stays answered"
        bob = enter(browser.new_context(viewport={"width": 1180, "height": 800}), address, "Bob")
        assert on_show(bob)[0] != on_show(ann)[0], "nobody is asked what another has on the screen"
        said = {name: [] for name in ("Ann", "Bob")}
        for _ in range(4):
            said["Bob"].append(answer(bob, truth, partner))
            said["Ann"].append(answer(ann, truth, partner))
        assert not set(said["Ann"]) & set(said["Bob"])
        ann.wait_for_selector(READY)
        while on_show(ann)[1] == "label":
            answer(ann, truth, partner)
        shoot(ann, "annotate-pair")
        bob.goto(address + "progress")
        shoot(bob, "annotate-progress")
        phone = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", device_scale_factor=2)
        cy = enter(phone, address, "Cy")
        shoot(cy, "annotate-phone")
        cy.click("#leave")  # what was held goes back to the others
        cy.wait_for_selector("#name")
        bob.goto(address)
        until_nothing_is_left(bob, truth, partner)
        until_nothing_is_left(ann, truth, partner)
        desk.close()
    assert run("next", place)["action"] == "labels add"
    told = run("labels", "add", place)
    again = modest.open(place)
    given = {name: label for name, label in zip(again.ids.tolist(), again.labels) if label is not None}
    assert given == {name: truth[name] for name in given}
    assert len(given) == 20
    assert set(again.classes) == set(KINDS)
    pairs = read_pairs(place)
    assert len(pairs) == 10
    assert all(partner[a] == b for a, b in zip(pairs["id_a"], pairs["id_b"])), told
    assert run("next", place)["action"] == "train"
    run("train", place, "--method", "mla", "--epochs", "5")
    page = Path(run("report", place, "--out", tmp_path / "report.html")["report"])
    assert "<svg" in page.read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_what_is_answered_while_the_server_is_gone_waits_and_is_sent_once(browser, tmp_path):
    pool, truth, partner = scenes(tmp_path, 16)
    pool.add({name: kind for name, kind in truth.items() if name.endswith("0")})  # so that all classes have buttons
    pool.add(modest.select(pool.views(), 6, "random", taken=[label is not None for label in pool.labels]))
    process, address = started(pool.path)
    with process:
        page = enter(browser.new_context(), address, "Ann")
        said = [answer(page, truth, partner)]
        page.wait_for_selector(READY)
        page.wait_for_selector("#ahead .task", state="attached")
        process.kill()
    for _ in range(2):  # what is on the screen and what was fetched ahead
        number, _, name = page.eval_on_selector(
            "#stage .task", "(one) => [Number(one.dataset.task), one.dataset.kind, one.dataset.id]"
        )
        page.keyboard.press(page.get_attribute(f'#classes [data-class="{truth[name]}"]', "data-key"))
        page.wait_for_function("(n) => document.querySelector('#work').dataset.task !== String(n)", arg=number)
        said.append(number)
    assert page.get_attribute("#work", "data-unsaved") == "2"
    with served(pool.path, address.rstrip("/").rpartition(":")[2]):
        page.wait_for_selector("#work[data-unsaved='0']", timeout=60_000)
        said += until_nothing_is_left(page, truth, partner)
    with Store(pool.path) as store:
        kept = [one.task for one in store.said()]
    assert kept == said, "none lost, none twice, in the order they were given"


def test_sounds_and_videos_play(browser, tmp_path):
    av = pytest.importorskip("av", reason="the extra `media` is not installed")
    clip, tone = tmp_path / "clip.webm", tmp_path / "tone.wav"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libvpx", rate=10, width=64, height=48, pix_fmt="yuv420p")
        for k in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * k, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    beep(tone)
    table = {"id": ["a"], "video": [str(clip)], "audio": [str(tone)], "x": np.ones((1, 2))}
    pool = modest.ingest(table, tmp_path / "pool")
    pool.add(modest.select(pool.views(), 1, "random"))
    with served(pool.path) as address:
        page = enter(browser.new_context(), address, "Ann")
        page.wait_for_selector(READY)
        for kind, seconds in (("video", 2.0), ("audio", 1.0)):
            found = page.locator(f"#stage {kind}")
            found.evaluate("(one) => { one.muted = true; return one.play(); }")
            assert found.evaluate("(one) => one.duration") == pytest.approx(seconds, abs=0.2)
            found.evaluate("(one) => new Promise((done) => { one.onseeked = done; one.currentTime = 0.7; })")
        shoot(page, "annotate-media")
