"""The page as one application, and the server that runs it until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from modest.annotation import api, pages, served
from modest.annotation.desk import Desk, class_names
from modest.annotation.safety import LOOPBACK, SHORTEST, Door, Guard, pool_key

if TYPE_CHECKING:
    from modest.annotation.catalogue import Catalogue
    from modest.annotation.store import Store
    from modest.data.pool import Pool

_TITLES = {401: "Who are you?", 403: "Not from here", 404: "Not there", 405: "Not like this"}


def app(
    pool: Pool,
    store: Store,
    catalogue: Catalogue,
    *,
    rounds: Sequence[int] | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    classes: Sequence[str] = (),
    redundancy: int = 1,
    lease: float = 600.0,
    annotator: str = "",
    multiple: bool = False,
    key: bytes | None = None,
) -> Starlette:
    """Return the page of a pool as an ASGI application.

    Parameters
    ----------
    pool, store, catalogue : what is asked about, where answers go, what is known of the items
    rounds : numbers of the rounds to ask from; None for all that the store has
    host : where it will be reached; on loopback the Host header must say so, elsewhere ``token`` is demanded
    token : what a newcomer's address must carry
    classes : names beside those of the pool
    redundancy, lease : answers wanted of a task, seconds a task is kept for who has it (as the store's)
    annotator : a name given to everybody who comes, so that nobody is asked
    multiple : whether a pair may have several partners
    key : secret that signs sessions; left out, the pool's own, made on first use

    Raises
    ------
    ValueError
        If the host is beyond loopback and there is no token, or the token is short.
    """
    if host not in LOOPBACK and token is None:
        raise ValueError(f"host={host!r} can be reached from elsewhere; give a token.")
    if token is not None and len(token) < SHORTEST:
        raise ValueError(f"token has {len(token)} characters; give {SHORTEST} or more, or leave it out to get one.")
    door = Door(pool_key(pool.path) if key is None else key, token, str(pool.path.resolve()))
    names = class_names(pool, classes)
    asked = None if rounds is None else tuple(rounds)
    desk = Desk(pool, store, catalogue, door, names, asked, redundancy, lease, annotator, multiple)
    guard = Middleware(Guard, door=door, hosts=LOOPBACK if host in LOOPBACK else None)
    made = Starlette(routes=_routes(), middleware=[guard], exception_handlers=_failures())
    made.state.desk = desk
    return made


def _routes() -> list[Route | Mount]:
    get: list[tuple[str, Callable[..., Any]]] = [
        ("/", pages.work), ("/who", pages.who), ("/tasks", pages.tasks), ("/progress", pages.progress),
        ("/help", pages.shortcuts), ("/media", served.medium),
        ("/api/next", api.following), ("/api/search", api.search), ("/api/progress", api.progress),
    ]  # fmt: skip
    post: list[tuple[str, Callable[..., Any]]] = [
        ("/who", pages.enter), ("/leave", pages.leave), ("/api/answer", api.answer), ("/api/undo", api.undo),
        ("/api/class", api.add_class),
    ]  # fmt: skip
    return [
        *(Route(path, function, methods=["GET"]) for path, function in get),
        *(Route(path, function, methods=["POST"]) for path, function in post),
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
    ]


def _failures() -> dict[Any, Callable[..., Any]]:
    """Turn what goes wrong into one sentence: JSON for the script, a page for people."""

    def told(request: Request, text: str, status: int) -> Response:
        if request.url.path.startswith(("/api/", "/media", "/static")):
            return JSONResponse({"error": text}, status)
        return pages.message(request, _TITLES.get(status, "That did not work"), text, status)

    def refused(request: Request, error: HTTPException) -> Response:
        return told(request, error.detail, error.status_code)

    def wrong(request: Request, error: ValueError) -> Response:
        return told(request, str(error), 422)

    def disk(request: Request, error: OSError) -> Response:
        return told(request, error.strerror or str(error), 507)

    return {HTTPException: refused, ValueError: wrong, OSError: disk}


def listening(host: str, port: int) -> socket.socket:
    """Socket on which a server can wait; port 0 takes a free one.

    Raises
    ------
    OSError
        If the port is taken, or the host is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # the protocol by its number: asyncio asks for it before it lets small answers go at once (TCP_NODELAY)
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)  # who comes before the server is up waits for it
    except (OSError, OverflowError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise OSError(f"cannot listen on {host}:{port} ({told}); choose another with --host or --port.") from None
    return found


def serve(application: Starlette, where: socket.socket) -> None:
    """Answer requests until the process is told to stop (Ctrl-C)."""
    import uvicorn

    # no log of requests: the address of a newcomer holds the token
    config = uvicorn.Config(application, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[where])
