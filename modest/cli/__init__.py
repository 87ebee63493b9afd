"""The command line: one file per command, no mathematics. Errors are one sentence and a non-zero exit."""

from __future__ import annotations

import importlib
import os
import sys

import typer

app = typer.Typer(
    name="modest",
    help="Multimodal learning on a modest budget: choose what to label, train, and see whether it was worth it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

# the command's file and name; each file holds one function called `command`, or an `app` of several
COMMANDS = (
    "demo", "doctor", "methods", "data", "ingest", "embed", "represent", "select", "pair", "annotate", "labels",
    "train", "predict", "evaluate", "bench", "report", "next",
)  # fmt: skip

for _name in COMMANDS:
    _module = importlib.import_module(f"modest.cli.{_name}")
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_name)
    else:
        app.command(_name)(_module.command)


def main() -> None:
    """Run the command line; bad input becomes one sentence on stderr and exit code 2, Ctrl-C exit code 130."""
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; what was finished is kept. Run the same command again to go on.\n")
        sys.exit(130)
    except (ValueError, TypeError, OSError, ImportError) as error:
        if os.environ.get("MODEST_TRACEBACK"):
            raise
        sys.stderr.write(f"modest: {error}\n")
        sys.exit(2)
