"""modest annotate: the page on which people label and pair."""

from __future__ import annotations

import contextlib
import importlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modest.cli import output

if TYPE_CHECKING:
    from modest.annotation.store import Store
    from modest.data.pool import Pool


def command(
    pool: Path = typer.Argument(..., help="Pool folder."),
    rounds: list[str] = typer.Argument(None, metavar="[ROUND]...", help="Rounds to ask from: 1, or rounds/1. All."),
    host: str = typer.Option("127.0.0.1", "--host", help="Where to listen; beyond this machine a token is demanded."),
    port: int = typer.Option(8765, "--port", help="Port; 0 takes a free one."),
    token: str = typer.Option(None, "--token", help="What the address must carry; made up where one is needed."),
    redundancy: int = typer.Option(1, "--redundancy", help="Answers wanted of every task, by different people."),
    annotator: str = typer.Option("", "--annotator", help="Name for everybody who comes, so that nobody is asked."),
    lease: float = typer.Option(600.0, "--lease", help="Seconds a task is kept for who has it on the screen."),
    browser: bool = typer.Option(False, "--open/--no-open", help="Open the page in this machine's browser."),
    relabel: bool = typer.Option(False, "--relabel", help="Ask about items that have a label, too."),
    whole: bool = typer.Option(False, "--whole", help="Ask about all training items, whatever was chosen."),
    names: list[str] = typer.Option([], "--class", help="A class to offer beside the pool's. Repeatable."),
    multiple: bool = typer.Option(False, "--multiple", help="Pairs: an item may have several partners."),
    json: bool = output.JSON,
) -> None:
    """Serve a page to label and pair on, until Ctrl-C; what is answered is on the disk at once.

    Example: modest annotate pool
    Example: modest annotate pool rounds/2 --redundancy 2 --class cat --class dog
    Example: modest annotate pool --host 0.0.0.0 --port 8000
    """
    from modest.annotation.gather import WHOLE, tasks_of
    from modest.annotation.store import Store
    from modest.data.pairs import query_rounds
    from modest.data.pool import open as open_pool

    server = _server()
    if whole and rounds:
        raise ValueError("--whole asks about all items, whatever a round chose; leave the ROUND out.")
    opened, named = open_pool(pool), [_round(one) for one in rounds or ()]
    beyond = host not in ("127.0.0.1", "localhost", "::1")
    token = secrets.token_urlsafe(24) if beyond and token is None else token
    with Store(pool, redundancy=redundancy, lease=lease) as store:
        new = store.add(tasks_of(opened, named or None, whole=whole, relabel=relabel))
        asked = [WHOLE] if whole else named or [one.number for one in (*opened.rounds, *query_rounds(opened.path))]
        for one in names:  # kept, so that answers are known by them when they come in
            store.add_class(one, "--class")
        told = store.progress(asked)
        if not told.total:
            raise ValueError(
                f"{pool} has no question that waits (--relabel asks about labelled items, too); "
                f"choose items with: modest select {pool} --budget 200"
            )
        application = server.app(
            opened, store, _catalogue(opened, json), rounds=asked, host=host, token=token, classes=names,
            redundancy=redundancy, lease=lease, annotator=annotator, multiple=multiple,
        )  # fmt: skip
        with contextlib.closing(server.listening(host, port)) as where:
            address = _address(host, where.getsockname()[1], token)
            payload = {"pool": str(pool), "address": address, "token": token, "tasks": told.total, "new": new}
            text = [f"{told.total:,} tasks, {told.done:,} of them done", f"open {address}", "stop with Ctrl-C"]
            if beyond:
                text.insert(2, "whoever has this address may answer; nothing is encrypted on the way")
            output.finish({**payload, "done": told.done}, json, text, f"modest labels add {pool}")
            _run(server, application, where, address if browser else None)
        if not json:
            typer.echo(_farewell(store, asked, told.answers))


def _server() -> Any:
    """Return the module of the server; ImportError in one sentence without its extra."""
    for name in ("starlette", "uvicorn"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            raise ImportError(f"the page needs {name}; install it with: pip install 'modest[web]'") from None
    return importlib.import_module("modest.annotation.server")


def _catalogue(pool: Pool, json: bool) -> Any:
    from modest.annotation.catalogue import Catalogue

    with output.progress("reading the pool", json) as bar:
        return Catalogue(pool, bar)


def _run(server: Any, application: Any, where: Any, address: str | None) -> None:
    """Serve until Ctrl-C."""
    if address is not None:
        import webbrowser

        webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve(application, where)


def _round(told: str) -> int:
    """Number of a round, named by itself or by its folder."""
    number = told.rstrip("/").rpartition("/")[2]
    if not number.isascii() or not number.isdigit():
        raise ValueError(f"ROUND {told!r} is no round; write its number, as 1 or rounds/1.")
    return int(number)


def _address(host: str, port: int, token: str | None) -> str:
    """What to open: the host itself, or this machine's name where it listens everywhere."""
    import socket
    from urllib.parse import quote

    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={quote(token)}" if token else "")


def _farewell(store: Store, rounds: list[int], before: int) -> str:
    told = store.progress(rounds)
    return f"stopped; {told.answers - before:,} answers came in, {told.total - told.done:,} tasks are left"
