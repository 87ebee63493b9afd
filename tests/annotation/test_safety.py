"""What the page refuses: other hosts, strangers, forged cookies and tokens, other sites, paths, odd bodies."""

import json
import os
import re
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")

from modest.annotation.safety import KEY, LIMIT, Door, Session, pool_key
from modest.annotation.shown import address
from tests.annotation.conftest import EVIL, HERE, csrf, enter

TOKEN = "a-token-of-twenty-characters"
READS = ("/", "/who", "/tasks", "/progress", "/help", "/media", "/api/next", "/api/search", "/api/progress")
WRITES = ("/who", "/leave", "/api/answer", "/api/undo", "/api/class")
ANSWER = {"task": 1, "verdict": "label", "value": ["cat"], "seconds": 1, "key": "k"}


def routes(app, method):
    return {one.path for one in app.routes if method in (getattr(one, "methods", None) or ())}


def test_the_lists_of_this_file_are_all_there_is(page):
    made = page().app
    assert routes(made, "GET") == set(READS)
    assert routes(made, "POST") == set(WRITES)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[::2]:8765"])
def test_another_host_name_is_refused_on_loopback(page, host):
    client = page().browser("ada")
    for path in (*READS, "/static/page.js"):
        assert client.get(path, headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:1", "LOCALHOST"])
def test_our_own_names_are_let_in(page, host):
    assert page().browser().get("/", headers={"host": host}).status_code == 200


def test_every_answer_forbids_scripts_from_elsewhere_and_guessing_types(page):
    client = page().browser("ada")
    for path in (*READS, "/static/page.js", "/static/page.css", "/nothing", address("item-00", "image", "small")):
        sent = client.get(path).headers
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["referrer-policy"] == "no-referrer"
        assert sent["content-security-policy"].startswith("default-src '")
        assert "unsafe" not in sent["content-security-policy"]
    assert "frame-ancestors 'none'" in client.get("/").headers["content-security-policy"]
    assert client.get("/").headers["cache-control"] == "no-store"


def test_pages_hold_no_script_or_style_of_their_own(page):
    client = page(redundancy=2).browser("ada")
    for path in ("/", "/who", "/tasks", "/progress", "/help", "/nothing"):
        text = client.get(path).text
        assert not re.search(r"<script(?! src=\"/static/page.js\" defer></script>)", text)
        assert not re.search(r"<style|\sstyle=|\son\w+=|https?://", text)
    for name in ("page.js", "page.css", "icon.svg"):
        assert not re.search(r"https?://(?!www.w3.org/2000/svg)", client.get(f"/static/{name}").text)


# ---- strangers and tokens


def test_nothing_but_a_refusal_without_the_token(page):
    made = page(host="0.0.0.0", token=TOKEN)
    client = made.browser(base="http://lab.example:8765")
    for path in (*READS, "/static/page.js"):
        assert client.get(path).status_code == 403
        assert client.get(path, params={"token": TOKEN[:-1]}).status_code == 403
        assert client.get(path, params={"token": ""}).status_code == 403
    for path in WRITES:
        assert client.post(path, params={"token": TOKEN}, json=ANSWER).status_code == 403
    assert client.get("/?token=" + TOKEN + "&token=no").status_code == 403  # the last one counts


def test_the_token_opens_once_and_the_cookie_then(page):
    made = page(host="0.0.0.0", token=TOKEN)
    client = made.browser(base="http://lab.example:8765")
    first = client.get("/", params={"token": TOKEN})
    assert first.status_code == 200
    assert 'http-equiv="refresh"' in first.text
    assert TOKEN not in first.text
    cookie = first.headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert "Who are you?" in client.get("/").text
    enter(client, "ada")
    assert client.post("/api/answer", json=ANSWER).status_code == 200
    again = client.get("/", params={"token": TOKEN})  # the same address once more does not forget the name
    assert "set-cookie" not in again.headers
    assert "ada" in client.get("/").text


def test_a_cookie_from_before_the_token_changed_is_worth_nothing(page):
    made = page(host="0.0.0.0", token=TOKEN, key=b"k")
    client = made.browser(base="http://lab.example:8765")
    client.get("/", params={"token": TOKEN})
    assert client.get("/").status_code == 200
    made.desk.door.token = TOKEN + "2"
    made.desk.door.entry = Door(b"k", TOKEN + "2").entry
    assert client.get("/").status_code == 403


def forged(door, change):
    """A cookie that was signed, changed in one way."""
    from starlette.responses import Response

    response = Response()
    door.give(response, Session("number", "ada"))
    name, value = response.headers["set-cookie"].partition(";")[0].split("=", 1)
    told, sign = value.split(".")
    mallory = json.dumps({"number": "number", "name": "mallory", "entry": ""}).encode().hex()
    return name, {
        "content": f"{mallory}.{sign}",
        "signature": f"{told}.{sign[:-1]}{'0' if sign[-1] != '0' else '1'}",
        "no signature": told,
        "empty signature": f"{told}.",
        "not hex": f"zz.{sign}",
        "letters": f"{told}.\u00e9",
        "nothing": "",
        "true": f"{told}.{sign}",
    }[change]


@pytest.mark.parametrize(
    "change", ["content", "signature", "no signature", "empty signature", "not hex", "letters", "nothing"]
)
def test_a_forged_cookie_is_no_cookie(page, change):
    made = page()
    client = made.browser()
    name, value = forged(made.desk.door, change)
    told = client.get("/api/next", headers={"cookie": f"{name}={value}".encode()})
    assert told.status_code == 401
    name, value = forged(made.desk.door, "true")
    assert client.get("/api/next", headers={"cookie": f"{name}={value}"}).status_code == 200


def test_two_pools_on_one_host_do_not_share_a_cookie():
    assert Door(b"k", label="a").cookie != Door(b"k", label="b").cookie


def test_the_key_is_kept_for_its_owner_alone_and_found_again(zoo):
    key = pool_key(zoo)
    assert len(key) == 64
    assert pool_key(zoo) == key
    assert os.stat(zoo / KEY).st_mode & 0o777 == 0o600


def test_a_restart_finds_everybody_again(page):
    first = page().browser("ada")
    second = page(tasks=[]).browser()
    second.cookies = first.cookies
    assert "ada" in second.get("/").text


# ---- writes


def test_no_write_without_its_token_or_with_anothers(page):
    made = page()
    ada, bob = made.browser("ada"), made.browser("bob")
    theirs, old = bob.headers["x-csrf-token"], csrf(made.browser())
    for path in WRITES:
        for token in ("", "0" * 64, theirs, old, "\u00e9".encode()):
            assert ada.post(path, json=ANSWER, headers={"x-csrf-token": token}).status_code == 403
        assert ada.post(path, json={**ANSWER, "csrf": theirs}, headers={"x-csrf-token": ""}).status_code == 403
        assert ada.post(path, json={**ANSWER, "csrf": 7}, headers={"x-csrf-token": ""}).status_code == 403
        stranger = made.browser()
        assert stranger.post(path, json=ANSWER, headers={"x-csrf-token": theirs}).status_code == 401
    assert made.store.said() == []


def test_the_token_of_a_page_ends_when_another_name_is_given(page):
    made = page()
    client = made.browser("ada")
    old = client.headers["x-csrf-token"]
    assert client.post("/leave", data={"csrf": old}).status_code == 200
    del client.headers["x-csrf-token"]
    enter(client, "bob")
    assert client.headers["x-csrf-token"] != old
    assert client.post("/api/answer", json=ANSWER, headers={"x-csrf-token": old}).status_code == 403
    assert made.store.said() == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "odd"])
def test_no_write_that_another_site_starts(page, site):
    client = page().browser("ada")
    for path in WRITES:
        assert client.post(path, json=ANSWER, headers={"sec-fetch-site": site}).status_code == 403


def test_a_visit_from_another_site_keeps_the_session(page):
    made = page()
    client = made.browser("ada")
    stranger = made.browser()
    led = stranger.get("/", headers={"sec-fetch-site": "cross-site"})  # a browser sends no strict cookie with this
    assert 'http-equiv="refresh"' in led.text
    assert "set-cookie" not in led.headers
    assert "ada" in client.get("/", headers={"sec-fetch-site": "same-origin"}).text


def test_too_much_is_refused_whether_it_says_so_or_not(page):
    client = page().browser("ada")
    big = json.dumps({**ANSWER, "key": "x" * LIMIT}).encode()
    kind = {"content-type": "application/json"}
    for path in WRITES:
        assert client.post(path, content=big, headers=kind).status_code == 413
        pieces = (big[k : k + 1000] for k in range(0, len(big), 1000))
        assert client.post(path, content=pieces, headers=kind).status_code == 413


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 20_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "multipart/form-data; boundary=x", 415),
        (b"{}", "", 415),
        (b"&".join(b"a%d=1" % k for k in range(50)), "application/x-www-form-urlencoded", 400),
    ],
)
def test_bodies_that_are_no_json_object(page, content, kind, status):
    client = page().browser("ada")
    for path in WRITES:
        assert client.post(path, content=content, headers={"content-type": kind}).status_code == status


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "1"}, {"task": True}, {"task": 0}, {"task": -1}, {"task": 1.0}, {"task": 2**70}, {"task": None},
        {"task": 999}, {"verdict": "undone"}, {"verdict": "x"}, {"verdict": 1}, {"verdict": "match"},
        {"value": "cat"}, {"value": [1]}, {"value": []}, {"value": ["cat", "dog"]}, {"value": [["cat"]]},
        {"value": ["\ud800"]}, {"value": ["c\u0000at"]}, {"seconds": "1"}, {"seconds": -1}, {"seconds": True},
        {"seconds": None}, {"key": 1}, {"key": "k" * 201}, {"key": "\ud800"}, {"seconds": float("nan")},
        {"seconds": float("inf")},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_fields_are_refused_in_a_sentence(page, wrong):
    made = page()
    client = made.browser("ada")
    body = json.dumps({**ANSWER, **wrong})
    told = client.post("/api/answer", content=body, headers={"content-type": "application/json"})
    assert told.status_code == 422
    assert told.json()["error"]
    assert made.store.said() == []


@pytest.mark.parametrize("name", ["", " ", 1, None, [], "a\x00b", "a\u202eb", "\ud800", "x" * 201])
def test_wrong_names_of_classes(page, name):
    client = page().browser("ada")
    body = json.dumps({"name": name})
    told = client.post("/api/class", content=body, headers={"content-type": "application/json"})
    assert told.status_code == 422


def test_a_full_disk_is_told_in_a_sentence(page, monkeypatch):
    made = page()
    client = made.browser("ada")

    def full(*_):
        raise OSError(28, "the disk is full; free some space", "/a/secret/place")

    monkeypatch.setattr(made.store, "answer", full)
    told = client.post("/api/answer", json=ANSWER)
    assert told.status_code == 507
    assert told.json() == {"error": "the disk is full; free some space"}


# ---- files


@pytest.mark.parametrize(
    "path",
    [
        "/static/../safety.py", "/static/%2e%2e/safety.py", "/static/..%2fsafety.py", "/static//etc/passwd",
        "/static/%2fetc%2fpasswd", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/..\\safety.py",
        "/media/../../etc/passwd", "/static/\x00",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_static_folder(page, path):
    made = page()
    raw = path.encode().replace(b"\x00", b"%00")
    told = asgi(made.app, raw)
    assert told in (400, 404)


def asgi(app, path):
    """Status of a GET with this very path, which no client has tidied."""
    import asyncio
    from urllib.parse import unquote

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": unquote(path.decode("latin-1")), "raw_path": path, "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8765),
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.disconnect"} if sent else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("../../../etc/passwd", "label"), ("../../../etc/passwd", "../../etc/passwd"), ("../../../etc/passwd", "id"),
        ("/etc/passwd", "image"), ("item-00", "/etc/passwd"), ("item-00", "place"), ("item-00", "text"),
        ("item-00", ""), ("", "image"), ("item-00\x00", "image"), ("' OR 1=1 --", "image"), ("*", "image"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", ["small", "whole", "plot", "wave", "other"])
def test_media_are_looked_up_by_name_never_by_path(page, name, modality, size):
    told = page().browser("ada").get("/media", params={"id": name, "of": modality, "as": size})
    assert told.status_code == 404
    assert b"root:" not in told.content


def test_an_id_that_looks_like_a_path_is_just_an_id(page):
    told = page().browser("ada").get("/media", params={"id": "../../../etc/passwd", "of": "image", "as": "whole"})
    assert told.headers["content-type"] == "image/png"
    told = page().browser("ada").get("/media", params={"id": EVIL, "of": "image", "as": "whole"})
    assert told.content[:4] == b"\x89PNG"


def test_a_link_to_another_kind_of_file_is_not_followed(page, zoo, tmp_path):
    import modest

    secret = tmp_path / "secret.key"
    secret.write_text("very secret")
    link = tmp_path / "link.png"
    link.symlink_to(secret)
    pool = modest.open(zoo)
    pool.table.loc[0, "image"] = str(link)
    pool.save()
    told = page().browser("ada").get("/media", params={"id": "item-00", "of": "image", "as": "whole"})
    assert told.status_code == 404
    assert "very secret" not in told.text


def test_no_small_copy_outline_or_text_is_made_of_such_a_link(page, zoo, tmp_path):
    import modest

    (tmp_path / "secret.key").write_text("very secret")
    pool = modest.open(zoo)
    names = {"image": "link.png", "audio": "link.wav", "text": "link.txt"}
    (tmp_path / "plain").write_bytes(Path(pool.table.loc[9, "image"]).read_bytes())  # a picture, which no name says
    for name, link in names.items():
        (tmp_path / link).symlink_to(tmp_path / ("plain" if name == "image" else "secret.key"))
        pool.table.loc[0, name] = str(tmp_path / link)
    pool.save()
    client = page().browser("ada")
    shown = client.get("/api/next").json()["tasks"][0]["html"]
    assert "very secret" not in shown
    for name, link in names.items():
        assert f"{link} is a link to something else." in shown
        for size in ("small", "wave", "whole"):
            assert client.get("/media", params={"id": "item-00", "of": name, "as": size}).status_code == 404


def test_a_link_to_the_same_kind_of_file_is_followed(page, zoo, tmp_path):
    import modest

    pool = modest.open(zoo)
    (tmp_path / "link.jpeg").symlink_to(pool.table.loc[9, "image"])
    pool.table.loc[0, "image"] = str(tmp_path / "link.jpeg")
    pool.save()
    client = page().browser("ada")
    assert client.get("/media", params={"id": "item-00", "of": "image", "as": "small"}).status_code == 200


@pytest.mark.parametrize("value", ["/etc/passwd", "/proc/self/environ", "file:///etc/passwd", "/dev/zero", "."])
def test_a_table_that_names_no_medium_gets_no_file(page, zoo, value):
    import modest

    pool = modest.open(zoo)
    pool.table.loc[0, "image"] = value
    pool.save()
    made = page()
    client = made.browser("ada")
    for size in ("small", "whole", "wave"):
        assert client.get("/media", params={"id": "item-00", "of": "image", "as": size}).status_code == 404
    assert "root:" not in client.get("/").text


def test_html_and_svg_in_a_pool_are_never_sent(page, zoo, tmp_path):
    import modest

    bad = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    (tmp_path / "a.svg").write_text(bad)
    (tmp_path / "b.png").write_text(bad)
    pool = modest.open(zoo)
    pool.table.loc[0, "image"] = str(tmp_path / "a.svg")
    pool.table.loc[1, "image"] = str(tmp_path / "b.png")
    pool.save()
    client = page().browser("ada")
    assert client.get("/media", params={"id": "item-00", "of": "image", "as": "whole"}).status_code == 404
    told = client.get("/media", params={"id": "item-01", "of": "image", "as": "whole"})
    assert told.headers["content-type"] == "image/png"  # whatever it holds, it is a picture to the browser
    assert told.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_a_stranger_sees_no_medium(page):
    assert page().browser().get(address("item-00", "image", "small")).status_code == 401


def test_the_base_of_these_tests_is_loopback():
    assert HERE.startswith("http://127.0.0.1")
