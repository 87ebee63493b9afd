"""Who may ask the page for what: host, token, signed session, CSRF token, size of a body, headers of an answer.

A request passes :class:`Guard` first, whatever it asks for. Every route that writes reads its body by :func:`posted`,
and by nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modest.data import files

LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEY = ".annotate.key"
LIMIT = 64 * 1024  # bytes of a body
SHORTEST = 12  # characters of a token
_MONTH = 30 * 24 * 3600
_HEADERS = {
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# a page of ours goes on by itself: a browser withholds a SameSite=Strict cookie as long as another site led here
_GO_ON = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">'
    '<title>modest</title><p><a href="/">Go on</a></p></html>'
)


@dataclass(frozen=True)
class Session:
    """Whose browser this is: a random ``number``, the annotator's ``name`` ("" before it is given), ``entry``.

    ``entry`` is the digest of the token that was shown, "" where none was.
    """

    number: str
    name: str = ""
    entry: str = ""


class Door:
    """Signs and reads sessions. ``key`` secret bytes; ``token`` what a newcomer must show, None where nothing is asked.

    ``label`` tells the cookies of two pools on one host apart, ``box`` what a browser keeps for them: a pool made anew
    has another key, and what waits for the old one never comes to it.
    """

    def __init__(self, key: bytes, token: str | None = None, label: str = "") -> None:
        self.token = token
        self.cookie = "modest_" + hashlib.sha256(label.encode()).hexdigest()[:10]
        self._key = key
        self.entry = "" if token is None else self._sign(f"token {token}")
        self.box = self._sign("box")[:16]

    def session(self, request: Request) -> Session | None:
        """Session of a request's cookie; None without one, with a forged one, or if the token has changed."""
        told, _, sign = request.cookies.get(self.cookie, "").partition(".")
        if not told or not _equal(sign, self._sign(told)):
            return None
        try:
            found = Session(**json.loads(bytes.fromhex(told)))
        except (ValueError, TypeError):  # signed by an earlier version
            return None
        return found if _equal(found.entry, self.entry) else None

    def give(self, response: Response, session: Session) -> None:
        """Send a session to the browser, out of reach of scripts and of requests that another site starts."""
        told = json.dumps(session.__dict__).encode().hex()
        value = f"{told}.{self._sign(told)}"
        response.set_cookie(self.cookie, value, max_age=_MONTH, path="/", httponly=True, samesite="strict")

    def newcomer(self, name: str = "") -> Session:
        """Make a new session of somebody who has shown the token, if there is one."""
        return Session(secrets.token_urlsafe(12), name, self.entry)

    def renamed(self, session: Session, name: str) -> Session:
        """Return the same session, of another annotator, with a new number: an earlier CSRF token is void."""
        return replace(session, number=secrets.token_urlsafe(12), name=name)

    def csrf(self, session: Session) -> str:
        """Token that writes of this session carry."""
        return self._sign(f"csrf {session.number}")

    def opens(self, token: str) -> bool:
        """Whether this is the token, in constant time."""
        return self.token is not None and _equal(token, self.token)

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def pool_key(pool: Path) -> bytes:
    """Return the secret that signs a pool's sessions, made on first use, so that a restart finds everybody again."""
    path = pool / KEY
    if not path.is_file():
        with files.replacing(path) as temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_hex(32).encode())
    return path.read_bytes()


async def posted(request: Request, door: Door) -> tuple[Session, dict[str, Any]]:
    """Session and fields of a request that writes, JSON or a form.

    Raises
    ------
    HTTPException
        401 without a session, 403 without its CSRF token or from another site, 413 above LIMIT bytes, 415 for another
        type, 400 for what cannot be read, 422 for JSON that is no object.
    """
    session = door.session(request)
    if session is None:
        raise HTTPException(401, "This page does not know you any more; load it again.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This request comes from another site.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/x-www-form-urlencoded"):
        raise HTTPException(415, "Send JSON.")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LIMIT:
            raise HTTPException(413, f"More than {LIMIT:,} bytes were sent; shorten it.")
    try:
        text = content.decode("utf-8")
        fields = json.loads(text) if kind == "application/json" else dict(parse_qsl(text, max_num_fields=20))
    except (ValueError, RecursionError):
        raise HTTPException(400, "What was sent cannot be read.") from None
    if not isinstance(fields, dict):
        raise HTTPException(422, "Send a JSON object.")
    shown = request.headers.get("x-csrf-token") or fields.pop("csrf", "")
    if not isinstance(shown, str) or not _equal(shown, door.csrf(session)):
        raise HTTPException(403, "This page is out of date; load it again.")
    return session, fields


class Guard:
    """Stand before all routes: refuse hosts that are not ours, ask for the token, set the headers of every response.

    ``hosts`` names that the Host header may have (a page of another name that leads here is another site's, by DNS
    rebinding); None for any, where the token protects.
    """

    def __init__(self, app: ASGIApp, door: Door, hosts: tuple[str, ...] | None) -> None:
        self.app, self.door, self.hosts = app, door, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._answer(Request(scope))
        await (refused or self.app)(scope, receive, safely)

    def _answer(self, request: Request) -> Response | None:
        """Return what stands in for the page: a refusal, or a first step through the door; None for those inside."""
        if self.hosts is not None and host_name(request.headers.get("host", "")) not in self.hosts:
            return PlainTextResponse("This host name is not ours; open the address that modest annotate shows.", 400)
        inside = self.door.session(request) is not None
        if request.method == "GET" and self.door.opens(request.query_params.get("token", "")):
            response = HTMLResponse(_GO_ON)
            if not inside:
                self.door.give(response, self.door.newcomer())
            return response
        if inside:
            return None
        if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
            return HTMLResponse(_GO_ON)
        if self.door.token is not None:
            return PlainTextResponse("Open the address with the token that modest annotate shows.", 403)
        return None


def host_name(header: str) -> str:
    """Name in a Host header, without port and brackets.

    Examples
    --------
    >>> host_name("localhost:8765"), host_name("[::1]:8765"), host_name("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    name = header[1:].partition("]")[0] if header.startswith("[") else header.partition(":")[0]
    return name.lower()


def plain_text(text: str) -> str:
    """A name as it is kept: composed letters (NFC), single blanks, so that one name typed on two machines is one.

    Examples
    --------
    >>> plain_text("  Jose\u0301   Ruiz ")
    'José Ruiz'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def _equal(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode("utf-8", "replace"), b.encode("utf-8", "replace"))
