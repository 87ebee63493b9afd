"""Options of the form NAME=VALUE."""

from __future__ import annotations

from collections.abc import Iterable


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
