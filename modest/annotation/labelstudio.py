"""Label Studio: the tasks and the labelling configuration of a round, written so that its answers find their way back.

Reference: the formats of label-studio-sdk 2.1 (label_interface, converter) and Label Studio's guide to tasks. ``id`` is
Label Studio's own word for the number of a task and replaces ours in its flat exports, so an item's id is ``item_id``.
Its data manager sorts by ``predictions[].score``, which must lie in [0, 1]: 1 for the first to ask, downwards in the
order of the round. What the method scored stands in ``data.score``.

A pair is asked by numbers: the candidates stand side by side, and the answer "3" is the third of ``shortlist``, which
travels with the task. Fewer candidates than a project's most leave empty places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as Xml

from modest.annotation.opinions import NONE, UNSURE, Opinion
from modest.annotation.task import Task

ITEM, ANSWER, OTHER = "item_id", "answer", "other"
_TAGS = {"image": "Image", "audio": "Audio", "video": "Video", "text": "Text"}
_OURS = {ITEM, ANSWER, OTHER, "id", "kind", "round", "order", "score", "reason", "side", "target", "shortlist"}
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OURS |= {"annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history"}


def key(name: str) -> str:
    """Name of a modality among a task's data, where flat exports put columns of their own.

    Examples
    --------
    >>> key("image"), key("order"), key("my view")
    ('image', 'order_', 'my_view')
    """
    plain = re.sub(r"\W", "_", name)
    return f"{plain}_" if plain in _OURS else plain


def keys(names: Iterable[str]) -> dict[str, str]:
    """{name: its key} of all modalities of a task; of names that differ in signs only, later ones get a number.

    Examples
    --------
    >>> keys(["my view", "my-view"])
    {'my view': 'my_view', 'my-view': 'my_view_2'}
    """
    found: dict[str, str] = {}
    for name in names:
        plain, taken = key(name), set(found.values())
        numbered = (f"{plain}_{k}" for k in range(2, len(taken) + 3))
        found[name] = plain if plain not in taken else next(one for one in numbered if one not in taken)
    return found


def label_config(kinds: Mapping[str, str], classes: Sequence[str]) -> str:
    """Configuration for label tasks: every modality (name -> kind of medium), the classes, one typed, "cannot tell"."""
    view = _view()
    for name, field in keys(kinds).items():
        Xml.SubElement(view, "Header", value=name, size="5")
        _show(view, f"show_{field}", field, kinds[name])
    _choices(view, [*classes, *([] if UNSURE in classes else [UNSURE])])
    return _text(view, "another class")


def pair_config(side: tuple[str, str], target: tuple[str, str], most: int) -> str:
    """Configuration for pair tasks: ``side`` and ``target`` are (name, kind), ``most`` is the longest shortlist."""
    view = _view()
    Xml.SubElement(view, "Header", value=f"Which {target[0]} belongs to this {side[0]}?", size="4")
    _show(view, "show_anchor", "anchor", side[1])
    for k in range(1, most + 1):
        Xml.SubElement(view, "Header", value=f"{k}", size="5")
        _show(view, f"show_{k}", f"candidate_{k}", target[1])
    _choices(view, [*map(str, range(1, most + 1)), NONE, UNSURE])
    return _text(view, f"id of another {target[0]}")


def label_tasks(tasks: Sequence[Task], shown: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Label tasks, first to ask first; ``shown`` {modality: URL or text} of each."""
    data = [{field: one[name] for name, field in keys(one).items()} for one in shown]
    return [_task(task, k, len(tasks), one) for k, (task, one) in enumerate(zip(tasks, data))]


def pair_tasks(
    tasks: Sequence[Task], anchors: Sequence[str], candidates: Sequence[Sequence[str]]
) -> list[dict[str, Any]]:
    """Pair tasks of one direction; ``anchors`` and, along every shortlist, ``candidates`` as URL or text."""
    most = max(map(len, candidates), default=0)
    found = []
    for k, (task, anchor, shown) in enumerate(zip(tasks, anchors, candidates)):
        listed = {f"candidate_{j + 1}": shown[j] if j < len(shown) else "" for j in range(most)}
        told = {"side": task.side, "target": task.target, "shortlist": list(task.shortlist)}
        found.append(_task(task, k, len(tasks), {"anchor": anchor, **told, **listed}))
    return found


def _task(task: Task, k: int, total: int, data: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        ITEM: task.id,
        "kind": task.kind,
        "round": task.round,
        "order": task.place,
        "score": task.score,
        "reason": task.reason,
    }
    predictions = [{"model_version": f"modest round {task.round}", "score": round(1 - k / total, 6), "result": []}]
    return {"data": {**told, **data}, "predictions": predictions}


def _view() -> Xml.Element:
    """What every task begins with: the item by name, which answers hang on, and why it was chosen."""
    view = Xml.Element("View")
    Xml.SubElement(view, "Text", name="item", value=f"${ITEM}", valueType="text")
    Xml.SubElement(view, "Header", value="$reason", size="6")
    return view


def _show(view: Xml.Element, name: str, field: str, kind: str) -> None:
    told = {"valueType": "text"} if kind == "text" else {}
    Xml.SubElement(view, _TAGS[kind], {"name": name, "value": f"${field}", **told})


def _choices(view: Xml.Element, words: Sequence[str]) -> None:
    told = {"name": ANSWER, "toName": "item", "choice": "single-radio", "showInline": "true"}
    choices = Xml.SubElement(view, "Choices", told)
    for word in words:
        Xml.SubElement(choices, "Choice", value=word)


def _text(view: Xml.Element, asked: str) -> str:
    """The configuration as text, with a line to type an answer that is no choice."""
    told = {"name": OTHER, "toName": "item", "placeholder": asked, "maxSubmissions": "1", "editable": "true"}
    Xml.SubElement(view, "TextArea", told)
    odd = next((value for one in view.iter() for value in one.attrib.values() if _NO_XML.search(value)), None)
    if odd is not None:
        raise ValueError(f"{odd!r} holds a control character, which XML cannot; rename the class or the column.")
    Xml.indent(view)
    return Xml.tostring(view, encoding="unicode") + "\n"


@dataclass(frozen=True)
class Told:
    """What a file says: the ``opinions`` in it, answers ``cancelled`` (skipped) and submitted ``empty``."""

    opinions: tuple[Opinion, ...]
    cancelled: int = 0
    empty: int = 0


def read_export(tasks: Sequence[Any], name: str) -> Told:
    """Opinions of an export: JSON (tasks with annotations), or the rows of JSON-MIN or CSV (one an annotation).

    Our own projects, and others that ask one ``Choices`` and carry the item's id as ``data.item_id`` (JSON: or
    ``data.id``). The opinions come in the order of time. ``name`` of the file is for messages.

    Raises
    ------
    ValueError
        If a task names no item, several choices were made, or a number is of no candidate; it names the task.
    """
    found, cancelled, empty = [], 0, 0
    for k, task in enumerate(tasks, start=1):
        if not isinstance(task, Mapping):
            raise ValueError(f"{name} task {k} is no object; export the project again, as JSON, JSON-MIN or CSV.")
        where = f"{name} task {task.get('id', k)}"
        try:
            for data, choices, typed, about in _given(task, where):
                if about.get("was_cancelled") or about.get("skipped"):
                    cancelled += 1
                elif not choices and not typed:
                    empty += 1
                else:
                    found.append(_opinion(data, choices, typed, about, where))
        except (AttributeError, TypeError) as error:  # a part of another type than Label Studio writes
            raise ValueError(f"{where} is not as Label Studio exports it ({error}); export it again.") from None
    return Told(tuple(sorted(found, key=lambda one: one.at)), cancelled, empty)


_Given = tuple[Mapping[str, Any], list[str], str, Mapping[str, Any]]


def _given(task: Mapping[str, Any], where: str) -> Iterator[_Given]:
    """(data, choices made, text typed, the annotation) of every annotation of a task."""
    if not isinstance(task.get("data"), Mapping):
        if task.get("annotation_id") not in (None, ""):
            field = next((name for name in (ANSWER, "label", "choice") if name in task), ANSWER)
            yield task, _flat(task.get(field), "choices"), "".join(_flat(task.get(OTHER), "text")[:1]), task
        return
    for about in task.get("annotations", task.get("completions")) or []:
        made: dict[str, list[str]] = {}
        typed = ""
        for part in about.get("result") or []:
            value = part.get("value") or {}
            if part.get("type") == "choices":
                made.setdefault(str(part.get("from_name")), []).extend(value.get("choices") or [])
            elif part.get("type") == "textarea" and part.get("from_name") == OTHER:
                typed = "".join(_flat(value.get("text"), "text")[:1])
        if len(made) > 1 and ANSWER not in made:
            raise ValueError(f"{where} has choices called {', '.join(made)}; call the one to be read {ANSWER!r}.")
        yield task["data"], made.get(ANSWER) or next(iter(made.values()), []), typed, about


def _flat(value: Any, inner: str) -> list[str]:
    """The words of a cell of a flat export, where several are a list, in CSV as JSON."""
    if isinstance(value, str) and value.startswith("[" if inner == "shortlist" else '{"'):
        try:
            value = json.loads(value)
        except ValueError:
            return [value]
    if isinstance(value, Mapping):
        value = value.get(inner)
    several = value if isinstance(value, list) else [] if value in (None, "") else [value]
    return [str(one).strip() for one in several]


def _opinion(
    data: Mapping[str, Any], choices: list[str], typed: str, about: Mapping[str, Any], where: str
) -> Opinion:
    item = data.get(ITEM, data.get("id") if about is not data else None)
    if item is None:
        raise ValueError(f"{where} names no item; put its id into the task's data as {ITEM!r}.")
    if len(choices) > 1 and not typed:
        raise ValueError(f"{where} has {len(choices)} choices; an item has one answer, choose one of them.")
    word = typed or choices[0]
    by = about.get("completed_by", about.get("annotator", ""))
    by = (by.get("email") or by.get("id") or "") if isinstance(by, Mapping) else by
    at = str(about.get("updated_at") or about.get("created_at") or "")
    told: dict[str, Any] = {"annotator": "" if by is None else str(by), "where": where, "at": at}
    if data.get("kind", "label") != "pair":
        return Opinion("label", str(item), None if word == UNSURE else (word,), **told)
    listed = _flat(data.get("shortlist"), "shortlist")
    said: tuple[str, ...] | None = tuple(part.strip() for part in word.split("|"))
    if word in (NONE, UNSURE):
        said = () if word == NONE else None
    elif not typed:
        if not (word.isdecimal() and 1 <= int(word) <= len(listed)):
            raise ValueError(f"{where} answers {word!r}, and has {len(listed)} candidates; choose one of them.")
        said = (listed[int(word) - 1],)
    number = str(data.get("round", "") or "")
    if number and not number.isdecimal():
        raise ValueError(f"{where} has the round {number!r}; leave the task's data as modest wrote them.")
    told |= {name: str(data.get(name) or "") for name in ("side", "target")}
    return Opinion("pair", str(item), said, **told, round=int(number) if number else None)
