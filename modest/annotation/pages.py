"""Pages for people: who are you, the task, the list of tasks, progress, help. HTML with every text escaped."""

from __future__ import annotations

import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from modest.annotation.desk import PAGES, Desk
from modest.annotation.safety import Session, plain_text, posted
from modest.annotation.task import Said

ON_A_PAGE = 50
LONGEST = 64  # characters of a name


def work(request: Request) -> Response:
    """Show the task page, or ask for a name first."""
    desk, session = _who(request)
    if session is None or not session.name:
        return _ask_name(desk, session)
    told = desk.progress(session.name)
    tasks = desk.hand_out(session.name)
    names = desk.class_list()
    text = PAGES.get_template("work.html").render(
        **_shell(desk, session, "work"), progress=told, tasks=tasks, class_list=names, lease=desk.lease,
        box=desk.door.box,
    )  # fmt: skip
    response = HTMLResponse(text)
    desk.door.give(response, session)
    return response


async def enter(request: Request) -> Response:
    """Take a name and go to work."""
    desk: Desk = request.app.state.desk
    session, fields = await posted(request, desk.door)
    told = fields.get("name", "")
    name = plain_text(told) if isinstance(told, str) else ""
    if not name or len(name) > LONGEST or not name.isprintable():
        return _ask_name(desk, session, f"Give a name of 1 to {LONGEST} letters that can be seen.", 422)
    response = RedirectResponse("/", 303)
    desk.door.give(response, desk.door.renamed(session, name))
    return response


async def leave(request: Request) -> Response:
    """Hand back what this annotator holds, and ask for a name again."""
    desk: Desk = request.app.state.desk
    session, _ = await posted(request, desk.door)
    if session.name:
        await run_in_threadpool(desk.store.release, session.name)
    response = RedirectResponse("/who", 303)
    desk.door.give(response, desk.door.renamed(session, ""))
    return response


def who(request: Request) -> Response:
    """Ask for a name, unless everybody has the same."""
    desk, session = _who(request)
    return RedirectResponse("/", 303) if desk.annotator else _ask_name(desk, session)


def tasks(request: Request) -> Response:
    """List tasks in the order they are asked, a page at a time."""
    desk, session = _inside(request)
    after = re.fullmatch(r"(\d{1,9}),(\d{1,15}),(\d{1,15})", request.query_params.get("after", ""), re.ASCII)
    start = tuple(map(int, after.groups())) if after else None
    found = desk.store.tasks(desk.rounds, after=start, limit=ON_A_PAGE)
    last = found[-1] if len(found) == ON_A_PAGE else None
    following = f"{last.round},{last.place},{last.number}" if last else ""
    said = desk.store.answers(task.number for task in found)
    rows = [(task, [(one.annotator, _words(one)) for one in said[task.number]]) for task in found]
    text = PAGES.get_template("tasks.html").render(
        **_shell(desk, session, "tasks"), rows=rows, following=following, first=start is None
    )
    return HTMLResponse(text)


def progress(request: Request) -> Response:
    """Show who answered how much, how fast, and how well they agree."""
    desk, session = _inside(request)
    text = PAGES.get_template("progress.html").render(
        **_shell(desk, session, "progress"), progress=desk.progress(session.name), redundancy=desk.redundancy
    )
    return HTMLResponse(text)


def shortcuts(request: Request) -> Response:
    """Show the keys."""
    desk, session = _inside(request)
    return HTMLResponse(PAGES.get_template("help.html").render(**_shell(desk, session, "help"), multiple=desk.multiple))


def message(request: Request, title: str, text: str, status: int) -> Response:
    """One sentence on a page of its own."""
    desk: Desk = request.app.state.desk
    page = PAGES.get_template("message.html").render(title=title, text=text, name=desk.pool.path.resolve().name)
    return HTMLResponse(page, status)


def _words(said: Said) -> str:
    """What was said, for people."""
    return ", ".join(said.value) or {"none": "none of these", "unsure": "cannot tell"}.get(said.verdict, said.verdict)


def _who(request: Request) -> tuple[Desk, Session | None]:
    desk: Desk = request.app.state.desk
    session = desk.door.session(request)
    if desk.annotator and (session is None or session.name != desk.annotator):
        session = desk.door.newcomer(desk.annotator)
    return desk, session


def _inside(request: Request) -> tuple[Desk, Session]:
    desk: Desk = request.app.state.desk
    session = desk.door.session(request)
    if session is None or not session.name:
        raise HTTPException(401, "Tell your name first.")
    return desk, session


def _ask_name(desk: Desk, session: Session | None, problem: str = "", status: int = 200) -> Response:
    session = session or desk.door.newcomer()
    text = PAGES.get_template("who.html").render(
        csrf=desk.door.csrf(session), name=desk.pool.path.resolve().name, problem=problem, longest=LONGEST
    )
    response = HTMLResponse(text, status)
    desk.door.give(response, session)
    return response


def _shell(desk: Desk, session: Session, here: str) -> dict[str, Any]:
    """What the frame around every page shows."""
    return {
        "name": desk.pool.path.resolve().name,
        "annotator": session.name,
        "csrf": desk.door.csrf(session),
        "here": here,
    }
