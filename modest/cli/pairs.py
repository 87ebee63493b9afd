"""Options of the form NAME=VALUE, and budgets: what a shell gives as text, read or refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def pairs(given: Iterable[str], option: str, form: str = "NAME=VALUE", bare: bool = False) -> dict[str, str]:
    """NAME=VALUE options as a mapping.

    Parameters
    ----------
    given : what was typed, one per use of the option
    option, form : its name and what is to be written, for the error message
    bare : NAME alone will do, and stands for NAME=NAME

    Raises
    ------
    ValueError
        If one cannot be read, or a name comes twice.
    """
    found: dict[str, str] = {}
    for told in given:
        name, mark, value = told.partition("=")
        if not name or not (value or (bare and not mark)):
            raise ValueError(f"{option} {told!r} cannot be read; write {'NAME or ' if bare else ''}{form}.")
        if name in found:
            raise ValueError(f"{option} names {name!r} twice; name it once.")
        found[name] = value or name
    return found


def number(option: str, name: str, told: str) -> float:
    """Number of a NAME=NUMBER option.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        return float(told)
    except ValueError as error:
        raise ValueError(f"{option} {name}={told!r} is no number; write {option} {name}=1e-4.") from error


def items(text: str | None) -> int | float:
    """--budget: a whole number of items, or a share.

    Raises
    ------
    ValueError
        If it is missing, or no number.
    """
    if text is None:
        raise ValueError("--budget is missing; give items (200), a share (0.01), or --cost with --total.")
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError as error:
        raise ValueError(f"--budget {text!r} is no number; give items (200) or a share (0.01).") from error


def one_knob(text: str) -> tuple[str, Any]:
    """Name and value of a --knob; the value is JSON where it can be read as that, else text.

    Raises
    ------
    ValueError
        If there is no name or no value.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--knob {text!r} must look like name=value.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
