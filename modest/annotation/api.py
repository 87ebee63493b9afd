"""Requests of the page's script: the next task, an answer, its undoing, a class, a search. JSON in, JSON out."""

from __future__ import annotations

import math
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modest.annotation.desk import Desk
from modest.annotation.safety import plain_text, posted
from modest.annotation.task import Task

LONGEST = 200  # characters of a class, a key or a search
FOUND = 12  # items of one search
_SAYS = ("label", "match", "none", "unsure", "skip")


def following(request: Request) -> Response:
    """Return the tasks to answer now and next, how far everybody is, and the classes if there are not ``known``."""
    desk, name = _desk(request), annotator(request)
    return JSONResponse({"tasks": desk.hand_out(name), **_state(desk, name, request.query_params.get("known", ""))})


async def answer(request: Request) -> Response:
    """Keep one answer; it is on the disk when this returns."""
    desk, name, fields = await _posted(request)
    number, verdict = _number(fields, "task"), _word(fields, "verdict")
    if verdict not in _SAYS:
        raise HTTPException(422, f"verdict is one of {', '.join(_SAYS)}.")
    value = fields.get("value", [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise HTTPException(422, "value is a list of texts.")
    seconds = fields.get("seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise HTTPException(422, "seconds is a number from 0 on.")
    key = _word(fields, "key", "")

    def keep() -> dict[str, Any]:
        _checked(desk, desk.store.task(number), verdict, value)
        said = desk.store.answer(number, name, verdict, tuple(value), min(float(seconds), 86400.0), key)
        return {"said": said.number}

    return JSONResponse(await run_in_threadpool(keep))


async def undo(request: Request) -> Response:
    """Take back the annotator's newest answer and return its task, null when there is none."""
    desk, name, fields = await _posted(request)
    key = _word(fields, "key", "")

    def back() -> dict[str, Any]:
        task = desk.store.undo(name, key)
        return {"task": None if task is None else desk.told(task), **_state(desk, name, "")}

    return JSONResponse(await run_in_threadpool(back))


async def add_class(request: Request) -> Response:
    """Add a class; one that is there already stays as it is."""
    desk, name, fields = await _posted(request)
    label = plain_text(_word(fields, "name"))
    if not label or not label.isprintable():
        raise HTTPException(422, "A class needs a name of letters that can be seen.")

    def add() -> dict[str, Any]:
        there = {plain_text(one): one for one in desk.all_classes()}
        added = label not in there and desk.store.add_class(label, name)
        return {"added": bool(added), "name": there.get(label, label), **_state(desk, name, "")}

    return JSONResponse(await run_in_threadpool(add))


def search(request: Request) -> Response:
    """Items whose id or texts contain what was typed, as HTML of candidates."""
    desk, told = _desk(request), request.query_params
    annotator(request)
    text = "".join(one for one in told.get("text", "")[:LONGEST] if one.isprintable()).strip()
    after = told.get("after", "0")
    turn = told.get("round", "0")
    if not all(one.isascii() and one.isdigit() and len(one) < 16 for one in (after, turn)):
        raise HTTPException(422, "after is the row of the last item found, round the number of the one that asks.")
    if not text:
        return JSONResponse({"html": "", "count": 0, "more": 0})
    found = desk.found(text, told.get("target", ""), FOUND, int(after), told.get("near", ""), int(turn))
    return JSONResponse(found)


def progress(request: Request) -> Response:
    """How far everybody is."""
    desk, name = _desk(request), annotator(request)
    return JSONResponse(desk.progress(name))


def annotator(request: Request) -> str:
    """Name of who asks; HTTPException 401 where it is not known yet."""
    session = _desk(request).door.session(request)
    if session is None or not session.name:
        raise HTTPException(401, "Tell your name first; load the page again.")
    return session.name


def _checked(desk: Desk, task: Task, verdict: str, value: list[str]) -> None:
    """Refuse what the store need not know to be wrong: classes and partners that are not there."""
    unknown = set(value) - set(desk.all_classes()) if verdict == "label" else set()
    if unknown:
        raise HTTPException(422, f"There is no class {min(unknown)!r}; add it first.")
    if verdict == "match":
        if len(value) > 1 and not desk.multiple:
            raise HTTPException(422, "One partner only; several with: modest annotate --multiple")
        for one in set(value) - set(task.shortlist):
            item = desk.catalogue.item(one)
            if item is None or task.target not in item.has:
                raise HTTPException(422, f"There is no {task.target} of {one!r}.")
            if not desk.sought(task.round, item):
                raise HTTPException(422, f"{one!r} is of a split that round {task.round} did not ask in.")


def _state(desk: Desk, name: str, known: str) -> dict[str, Any]:
    told = desk.progress(name)
    changed = known != str(told["classes"])
    return {"progress": told, **({"classes": desk.class_list()} if changed else {})}


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


async def _posted(request: Request) -> tuple[Desk, str, dict[str, Any]]:
    """(desk, annotator, fields) of a request that writes."""
    desk = _desk(request)
    session, fields = await posted(request, desk.door)
    if not session.name:
        raise HTTPException(401, "Tell your name first; load the page again.")
    return desk, session.name, fields


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**62:
        raise HTTPException(422, f"{name} is a whole number above 0.")
    return value


def _word(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str) or len(value) > LONGEST:
        raise HTTPException(422, f"{name} is a text of at most {LONGEST} characters.")
    return value
