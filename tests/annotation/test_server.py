"""The page as people and its script see it: names, tasks, answers, undo, classes, partners, media, progress."""

import io
import re
import socket

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra `web` is not installed")

from modest.annotation.server import app, listening
from tests.annotation.conftest import CAPTION, EVIL, enter, label_tasks, pair_tasks


def answer(client, task, verdict="label", value=("cat",), key="", seconds=1.5):
    body = {"task": task, "verdict": verdict, "value": list(value), "seconds": seconds, "key": key}
    return client.post("/api/answer", json=body)


def handed(client):
    return client.get("/api/next").json()["tasks"]


def test_a_name_is_asked_once_and_kept(page):
    client = page().browser()
    assert "Who are you?" in client.get("/").text
    assert client.get("/tasks").status_code == 401
    assert 'data-annotator="Ada L"' in enter(client, "  Ada \t L ").text
    assert "Ada L" in client.get("/").text
    left = client.post("/leave", data={"csrf": client.headers["x-csrf-token"]})
    assert "Who are you?" in left.text
    assert client.get("/api/next").status_code == 401


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\u202eb", "a\x00b"])
def test_a_name_that_nobody_can_read_is_refused(page, name):
    client = page().browser()
    from tests.annotation.conftest import csrf

    told = client.post("/who", data={"name": name, "csrf": csrf(client)})
    assert told.status_code == 422
    assert "Give a name" in told.text


def test_a_given_name_is_not_asked_for(page):
    client = page(annotator="me").browser()
    assert 'data-annotator="me"' in client.get("/").text


def test_a_given_name_is_everybodys_whoever_they_were_before(page):
    page().browser("ada")
    client = page(annotator="me").browser()
    earlier = page().browser("ada")
    client.cookies.update(earlier.cookies)
    assert 'data-annotator="me"' in client.get("/").text
    assert 'data-annotator="me"' in client.get("/who").text  # nobody is asked


def test_one_name_typed_on_two_machines_is_one(page):
    client = page(classes=("cafe\u0301",)).browser()
    assert 'data-annotator="José"' in enter(client, "Jose\u0301").text
    told = client.post("/api/class", json={"name": "café"}).json()
    assert (told["added"], told["name"]) == (False, "cafe\u0301")
    assert client.post("/api/class", json={"name": "the\u0301"}).json()["name"] == "thé"


def test_what_waits_in_a_browser_is_of_this_pool_alone(page):
    texts = [page(key=key).browser("ada").get("/").text for key in (b"a", b"a", b"b")]
    boxes = [re.search(r'data-box="(\w+)"', text)[1] for text in texts]
    assert boxes[0] == boxes[1] != boxes[2]


def test_the_page_shows_the_first_task_and_why_it_was_chosen_and_holds_the_second(page):
    text = page().browser("ada").get("/").text
    shown, ahead = text.split('id="ahead"')
    assert re.findall(r'class="task" data-task="(\d+)"', shown) == ["1"]
    assert re.findall(r'class="task" data-task="(\d+)"', ahead) == ["2"]
    assert "far from all others (0)" in shown
    assert "0.5" in shown
    assert "number 1" in shown
    assert re.findall(r'data-class="(\w+)" data-key="(\w)"', shown) == [("cat", "1"), ("dog", "2")]
    assert "0 of 8 done · 8 left" in shown


def test_an_answer_is_in_the_store_and_the_next_two_follow(page):
    desk = page()
    client = desk.browser("ada")
    assert [one["number"] for one in handed(client)] == [1, 2]
    assert answer(client, 1).json() == {"said": 1}
    said = desk.store.said()[0]
    assert (said.task, said.annotator, said.verdict, said.value, said.seconds) == (1, "ada", "label", ("cat",), 1.5)
    assert [one["number"] for one in handed(client)] == [2, 3]
    state = client.get("/api/progress").json()
    assert (state["done"], state["total"], state["yours"]) == (1, 8, 1)
    assert state["words"].startswith("1 of 8 done · 7 left · 1.0 a minute, about 7 min")


def test_a_request_that_comes_twice_is_kept_once(page):
    desk = page()
    client = desk.browser("ada")
    first = answer(client, 1, key="k1").json()
    assert answer(client, 1, key="k1").json() == first
    assert len(desk.store.said()) == 1


def test_undo_hands_the_task_back_and_goes_on_to_the_one_before(page):
    desk = page()
    client = desk.browser("ada")
    answer(client, 1)
    answer(client, 2, "unsure", ())
    told = client.post("/api/undo", json={"key": "u"}).json()
    assert told["task"]["number"] == 2
    assert 'data-task="2"' in told["task"]["html"]
    assert told["progress"]["done"] == 1
    assert client.post("/api/undo", json={"key": "u"}).json()["task"]["number"] == 2  # the same request once more
    assert client.post("/api/undo", json={"key": "v"}).json()["task"]["number"] == 1
    assert client.post("/api/undo", json={}).json()["task"] is None


def test_a_skipped_task_goes_to_somebody_else(page):
    desk = page(tasks=label_tasks(["item-00"], 1))
    ada, bob = desk.browser("ada"), desk.browser("bob")
    assert answer(ada, 1, "skip", ()).status_code == 200
    assert handed(ada) == []
    assert 'data-state="empty"' in ada.get("/").text
    assert [one["number"] for one in handed(bob)] == [1]


def test_two_people_get_different_tasks_and_leaving_gives_them_back(page):
    desk = page()
    ada, bob = desk.browser("ada"), desk.browser("bob")
    assert [one["number"] for one in handed(ada)] == [1, 2]
    assert [one["number"] for one in handed(bob)] == [3, 4]
    ada.post("/leave", data={"csrf": ada.headers["x-csrf-token"]})
    assert [one["number"] for one in handed(bob)] == [1, 2]


def test_agreement_is_shown_where_two_answered_the_same(page):
    desk = page(redundancy=2)
    ada, bob = desk.browser("ada"), desk.browser("bob")
    assert ada.get("/api/progress").json()["agreement"] is None
    for k, value in ((1, "cat"), (2, "cat"), (3, "dog"), (4, "dog")):
        answer(ada, k, value=(value,))
        answer(bob, k, value=("cat" if k == 4 else value,))
    desk.desk.clock = lambda: 1e9  # what was kept is old
    told = ada.get("/api/progress").json()["agreement"]
    assert told["share"] == pytest.approx(0.75)
    assert told["tasks"] == 4
    assert told["alpha"] == pytest.approx(8 / 15)  # of 8 answers 5 are cat: 1 - 7 * 2 / (5 * 3 * 2)
    assert "75.0 %" in ada.get("/progress").text
    assert "0.53" in ada.get("/progress").text
    assert "annotators agree on 75 %" in ada.get("/").text


def test_a_new_class_is_offered_to_everybody_and_only_then_taken(page):
    desk = page()
    ada, bob = desk.browser("ada"), desk.browser("bob")
    refused = answer(ada, 1, value=("owl",))
    assert refused.status_code == 422
    assert "owl" in refused.json()["error"]
    told = ada.post("/api/class", json={"name": "  snowy   owl "}).json()
    assert (told["added"], told["name"], told["classes"]["count"]) == (True, "snowy owl", 3)
    assert ada.post("/api/class", json={"name": "cat"}).json()["added"] is False
    assert answer(ada, 1, value=("snowy owl",)).status_code == 200
    assert "snowy owl" in bob.get("/api/next?known=2").json()["classes"]["html"]
    assert "classes" not in bob.get("/api/next?known=3").json()


def test_classes_are_those_of_the_pool_labelled_or_not_then_the_given(page, zoo):
    import modest
    from modest.annotation.desk import class_names

    pool = modest.open(zoo)
    pool.add({"item-00": "zebra", "item-01": "ant"})
    pool.config["classes"] = ["wolf", "zebra"]
    assert class_names(pool, ["ant", "cat"]) == ("wolf", "zebra", "ant", "cat")
    pool.config["classes"] = None
    pool.add({"item-00": "10", "item-01": "9"})
    assert class_names(pool) == ("9", "10")


def test_keys_are_digits_then_letters_that_mean_nothing_else(page):
    text = page(classes=[f"class {k}" for k in range(40)]).browser("ada").get("/").text
    keys = re.findall(r'class="class" data-class="[^"]+" data-key="(\w)"', text)
    assert "".join(keys) == "1234567890abcdefgijklmopqrtvwyz"
    assert text.count('class="class"') == 40


def test_a_pair_shows_the_side_asked_about_and_only_the_target_of_candidates(page):
    desk = page("pair")
    html = handed(desk.browser("ada"))[0]["html"]
    anchor, partners = html.split('class="partners"')
    assert 'data-modality="image"' in anchor
    assert 'data-modality="text"' not in anchor
    assert 'data-modality="text"' in partners
    assert 'data-modality="image"' not in partners
    assert re.findall(r'class="choose" data-partner="([^"]+)" data-key="(\d)"', partners) == [
        (f"item-0{k}", str(k)) for k in range(1, 5)
    ]


def test_a_pair_is_matched_or_none_and_several_partners_only_if_asked(page):
    desk = page("pair")
    client = desk.browser("ada")
    assert answer(client, 1, "match", ("item-01", "item-02")).status_code == 422
    assert answer(client, 1, "match", ("item-01",)).status_code == 200
    assert answer(client, 2, "none", ()).status_code == 200
    assert answer(client, 3, "match", ("nobody",)).status_code == 422
    assert answer(client, 3, "match", ("item-08",)).status_code == 422  # it has no text
    assert answer(client, 3, "match", ("item-09",)).status_code == 200  # found by a search
    assert [one.value for one in desk.store.said()] == [("item-01",), (), ("item-09",)]


def test_several_partners(page):
    desk = page("pair", multiple=True)
    client = desk.browser("ada")
    assert 'data-multiple="1"' in client.get("/").text
    assert answer(client, 1, "match", ("item-01", "item-02")).status_code == 200


def test_a_search_finds_ids_and_captions_and_turns_pages(page, monkeypatch):
    client = page("pair").browser("ada")
    found = client.get("/api/search", params={"text": "tem-09", "target": "text", "near": "item-00"}).json()
    assert re.findall(r'<li class="candidate" data-partner="([^"]+)"', found["html"]) == ["item-09"]
    assert found["more"] == 0
    assert client.get("/api/search", params={"text": "number", "near": "item-00"}).json()["count"] == 9
    monkeypatch.setattr("modest.annotation.api.FOUND", 4)
    seen, after = [], 0
    while after is not None:
        told = client.get("/api/search", params={"text": "item", "target": "text", "after": after}).json()
        seen += re.findall(r'<li class="candidate" data-partner="([^"]+)"', told["html"])
        after = told["more"] or None
    assert seen == [f"item-{k:02d}" for k in (0, 1, 2, 3, 4, 5, 9, 10, 11)]
    assert client.get("/api/search", params={"text": "  \x00 "}).json()["count"] == 0


def test_tasks_are_listed_a_page_at_a_time_with_what_was_said(page, monkeypatch):
    desk = page(redundancy=2)
    desk.store.add(pair_tasks(desk.ids))
    client, bob = desk.browser("ada"), desk.browser("bob")
    answer(client, 1)
    answer(bob, 1, "unsure", ())
    monkeypatch.setattr("modest.annotation.pages.ON_A_PAGE", 5)
    seen, address = [], "/tasks"
    while address:
        text = client.get(address).text
        seen += re.findall(r'<tr data-task="(\d+)" data-answers="(\d)">', text)
        found = re.search(r'id="next-page" href="([^"]+)"', text)
        address = found and found[1]
    assert seen == [("1", "2"), *((str(k), "0") for k in range(2, 13))]
    first = client.get("/tasks").text
    assert '<span class="tag" title="ada">cat</span>' in first
    assert '<span class="tag" title="bob">cannot tell</span>' in first
    assert "image → text" in client.get("/tasks?after=1,7,99").text


def test_only_the_rounds_asked_for(page):
    desk = page(rounds=[2])
    desk.store.add(pair_tasks(desk.ids))
    client = desk.browser("ada")
    assert {one["kind"] for one in handed(client)} == {"pair"}
    assert client.get("/api/progress").json()["total"] == 4


# ---- what is shown


def source(html, modality, what="src"):
    block = html.split(f'data-modality="{modality}"')[1]
    return re.search(rf'{what}="([^"]+)"', block)[1].replace("&amp;", "&")


def html_of(desk, row):
    return desk.desk.html(label_tasks(desk.ids, 12)[row])


def test_every_kind_of_medium_is_shown_and_fetched(page):
    desk = page()
    client = desk.browser("ada")
    html = html_of(desk, 0)
    small = client.get(source(html, "image"))
    assert small.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(small.content)).size == (40, 30)
    whole = client.get(source(html, "image", "href"))
    assert whole.headers["content-type"] == "image/png"
    sound = client.get(re.search(r'<audio[^>]* src="([^"]+)"', html)[1].replace("&amp;", "&"))
    assert sound.headers["content-type"] == "audio/wav"
    assert sound.content[:4] == b"RIFF"
    assert client.get(source(html, "audio")).headers["content-type"] == "image/svg+xml"
    plot = client.get(source(html, "sensor"))
    assert plot.text.startswith("<svg")
    assert "100 numbers" in html
    assert '<dt>place</dt><dd dir="auto">south</dd>' in html
    assert "thing number 0" in html


def test_what_browsers_cannot_show_becomes_a_jpeg(page):
    desk = page()
    whole = desk.browser("ada").get(source(html_of(desk, 4), "image", "href"))
    assert whole.headers["content-type"] == "image/jpeg"


def test_members_of_archives_and_cuts(page):
    desk = page()
    client = desk.browser("ada")
    assert Image.open(io.BytesIO(client.get(source(html_of(desk, 5), "image")).content)).size == (40, 30)
    assert client.get(source(html_of(desk, 5), "image", "href")).headers["content-type"] == "image/png"
    packed = re.search(r'<audio[^>]* src="([^"]+)"', html_of(desk, 1))[1].replace("&amp;", "&")
    whole = client.get(packed).content
    part = client.get(packed, headers={"range": "bytes=4-9"})
    assert part.status_code == 206
    assert part.content == whole[4:10]
    assert part.headers["content-range"] == f"bytes 4-9/{len(whole)}"
    assert client.get(packed, headers={"range": f"bytes={len(whole)}-"}).status_code == 416
    assert client.get(packed, headers={"range": "bytes=-3"}).content == whole[-3:]
    assert "#t=0.25,0.5" in html_of(desk, 2)


def test_a_plain_file_is_sent_in_parts(page):
    desk = page()
    client = desk.browser("ada")
    address = re.search(r'<audio[^>]* src="([^"]+)"', html_of(desk, 0))[1].replace("&amp;", "&")
    part = client.get(address, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")


def test_what_cannot_be_read_says_so_without_its_folder(page):
    desk = page()
    client = desk.browser("ada")
    gone, text = html_of(desk, 2), html_of(desk, 3)
    assert "02.png is not there" in gone
    assert "03.png is no picture that can be read" in text
    assert "zoo media" not in gone + text
    refused = client.get("/media", params={"id": "item-02", "of": "image", "as": "whole"})
    assert refused.status_code == 404
    assert refused.json()["error"].startswith("02.png is not there")


def test_a_vector_called_image_without_a_negative_is_seen_as_a_picture(page, zoo):
    from modest.annotation.shown import square

    assert square("image", np.arange(64.0)) == 8
    assert square("image", np.arange(64.0) - 1) == 0
    assert square("image", np.zeros(64)) == 0
    assert square("image", np.arange(65.0)) == 0
    assert square("audio", np.arange(64.0)) == 0
    assert square("image", np.arange(49.0**2)) == 0


def test_the_demo_pool_is_seen_as_digits_and_words(tmp_path):
    import modest
    from modest.annotation.catalogue import Catalogue
    from modest.annotation.shown import Showcase

    pool = modest.demo(tmp_path / "pool")
    catalogue = Catalogue(pool)
    row = int(np.flatnonzero(pool.present.all(axis=1))[0])
    blocks = Showcase(pool).blocks(catalogue.item(pool.ids[row]))
    assert [(one.modality, one.what) for one in blocks] == [
        ("image", "pixels"), ("audio", "plot"), ("text", "plot"), ("word", "fact"), ("language", "fact"),
    ]  # fmt: skip
    without = int(np.flatnonzero(~pool.present[:, 0])[0])
    assert "image" not in [one.modality for one in Showcase(pool).blocks(catalogue.item(pool.ids[without]))]
    catalogue.close()


def test_ids_and_captions_are_text_and_nothing_else(page):
    desk = page()
    html = html_of(desk, 6)
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; a &#39;caption&#39;" in html
    assert EVIL in desk.ids
    assert CAPTION
    client = desk.browser("<b>ada</b>")
    assert client.post("/api/class", json={"name": '"><svg onload=alert(1)>'}).status_code == 200
    for path in ("/", "/tasks", "/progress"):
        text = client.get(path).text
        assert "<svg onload" not in text
        assert "<b>ada" not in text


# ---- the application


def test_beyond_loopback_a_token_is_demanded(page, zoo):
    desk = page()
    made = (desk.pool, desk.store, desk.desk.catalogue)
    with pytest.raises(ValueError, match="give a token"):
        app(*made, host="0.0.0.0")
    with pytest.raises(ValueError, match="give 12 or more"):
        app(*made, host="0.0.0.0", token="short")


def test_a_port_that_is_taken_is_one_sentence():
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        first.listen()
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}.*--port"):
            listening("127.0.0.1", port)
    with pytest.raises(OSError, match="cannot listen on"):
        listening("no such host.", 0)


def test_partners_are_sought_in_the_split_that_the_round_asked_in(tmp_path, monkeypatch):
    from starlette.testclient import TestClient

    import modest
    from modest.annotation.catalogue import Catalogue
    from modest.annotation.exchange import said_on_page
    from modest.annotation.gather import tasks_of
    from modest.annotation.labels import add_pairs
    from modest.annotation.store import Store
    from modest.rounds.asking import ask
    from tests.annotation.conftest import HERE
    from tests.cli.test_pair import make

    pool, _ = make(tmp_path / "pool")
    ask(pool, 2, "random", directions=[("image", "text")])
    pool = modest.open(pool.path)
    has_text = {name for name, text in zip(pool.ids.tolist(), pool.table["text"]) if isinstance(text, str)}
    outside = has_text & set(pool.ids[pool.split != "train"].tolist())
    inside = has_text - outside
    monkeypatch.setattr("modest.annotation.api.FOUND", 3)
    with Store(pool.path) as store:
        store.add(tasks_of(pool))
        client = TestClient(app(pool, store, Catalogue(pool)), base_url=HERE)
        enter(client, "ada")
        task = store.task(handed(client)[0]["number"])
        assert f'data-round="{task.round}"' in client.get("/").text
        seen, after = [], 0
        while after is not None:
            told = {"text": "thing", "target": "text", "near": task.id, "round": task.round, "after": after}
            found = client.get("/api/search", params=told).json()
            seen += re.findall(r'<li class="candidate" data-partner="([^"]+)"', found["html"])
            after = found["more"] or None
        assert set(seen) == inside
        assert answer(client, task.number, "match", (min(outside),)).status_code == 422
        [partner] = sorted(inside - set(task.shortlist))[:1]
        assert answer(client, task.number, "match", (partner,)).status_code == 200
        assert add_pairs(pool.path, said_on_page(store.standing())).added == 1
    assert client.get("/api/search", params={"text": "thing", "round": "x"}).status_code == 422


def test_a_sound_with_an_odd_cut_says_so_and_stops_nobody(page, zoo):
    import modest

    pool = modest.open(zoo)
    pool.table.loc[0, "audio"] = pool.table.loc[2, "audio"].split("#")[0] + "#t=late"
    pool.save()
    desk = page()
    client = desk.browser("ada")
    assert "has the cut &#39;late&#39;" in handed(client)[0]["html"]
    fetched = client.get("/media", params={"id": desk.ids[0], "of": "audio", "as": "whole"})
    assert (fetched.status_code, str(zoo.parent) in fetched.text) == (404, False)


def test_small_answers_are_sent_at_once():
    from modest.annotation.server import listening

    with listening("127.0.0.1", 0) as where:
        assert where.proto == socket.IPPROTO_TCP, "asyncio sets TCP_NODELAY on such sockets alone; else 40 ms are lost"
