"""Whatever is sent to the page, by whomever: never an error of the server's own."""

import json
from urllib.parse import quote

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.annotation.conftest import label_tasks, pair_tasks

PATHS = [
    "/", "/who", "/tasks", "/progress", "/help", "/media", "/leave", "/static/page.js", "/static/", "/api/next",
    "/api/search", "/api/progress", "/api/answer", "/api/undo", "/api/class", "/api", "/api/..", "//", "/%00",
]  # fmt: skip
FIELDS = ("id", "of", "as", "after", "text", "target", "near", "known", "token")
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["item-00", "item-02", "item-03", "image", "audio", "text", "sensor", "place", "label", "small", "whole",
         "plot", "wave", "1,0,1", "1,99999,1", "-1", "0", "999999999999999", '"', "'", "a OR b*", "NEAR(", "{id} : x",
         "\x00", "\ud7ff", "%", "item-00\x00", "../..", "<script>", "9" * 400],
    ),
)  # fmt: skip
NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.none())
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["label", "match", "none", "unsure", "skip", "undone", "cat", "item-01", "\ud800", "\x00"]),
)
JSON = st.recursive(
    st.one_of(NUMBERS, WORDS),
    lambda one: st.one_of(st.lists(one, max_size=3), st.dictionaries(WORDS, one, max_size=3)),
    max_leaves=6,
)  # fmt: skip
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "task": st.one_of(st.integers(-1, 14), JSON),
        "verdict": st.one_of(WORDS, JSON),
        "value": st.one_of(st.lists(WORDS, max_size=3), JSON),
        "seconds": st.one_of(st.floats(0, 100), JSON),
        "key": st.one_of(WORDS, JSON),
        "name": st.one_of(WORDS, JSON),
        "csrf": JSON,
    },
)
HEADERS = st.dictionaries(
    st.sampled_from(["range", "cookie", "content-type", "if-range", "sec-fetch-site", "content-length", "accept",
                     "x-csrf-token", "origin", "if-none-match", "if-modified-since"]),
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
        st.sampled_from(["bytes=0-1", "bytes=5-", "bytes=-5", "bytes=9-2", "bytes=0-1,4-5", "bytes=99999999-",
                         "bytes=-0", "bytes=--1", "application/json", "application/x-www-form-urlencoded",
                         "cross-site", "none"]),
    ),
    max_size=3,
)  # fmt: skip


@pytest.fixture
def fuzzed(page):
    made = page(redundancy=3)
    made.store.add(pair_tasks(made.ids))
    made.store.add(label_tasks(made.ids, 12))
    return made.browser("ada"), made.browser()


@settings(
    max_examples=250, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    method=st.sampled_from(["GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "ODD"]),
    path=st.one_of(st.sampled_from(PATHS), st.text(max_size=12).map(lambda text: "/" + quote(text))),
    query=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
    headers=HEADERS,
    body=st.one_of(st.none(), st.binary(max_size=60), ANSWERS, JSON),
    known=st.booleans(),
)
def test_no_request_is_an_error_of_the_server(fuzzed, method, path, query, headers, body, known):
    client = fuzzed[0] if known else fuzzed[1]
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if content and not isinstance(body, bytes):
        headers = {"content-type": "application/json", **headers}
    try:
        sent = client.build_request(method, path, params=query, content=content, headers=headers)
    except ValueError:  # no address that a client can ask for
        return
    assert client.send(sent).status_code < 500


@settings(
    max_examples=120, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(path=st.sampled_from(["/api/answer", "/api/undo", "/api/class", "/who", "/leave"]), body=ANSWERS)
def test_no_field_of_a_write_is_an_error_of_the_server(fuzzed, path, body):
    client = fuzzed[0]
    content = json.dumps({name: value for name, value in body.items() if name != "csrf"}).encode()
    sent = client.post(path, content=content, headers={"content-type": "application/json"}, follow_redirects=False)
    assert sent.status_code < 500
