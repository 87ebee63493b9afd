"""Every Python example of the README, of docs/ and of the docstrings runs."""

import doctest
import importlib
import pkgutil
import re
import warnings
from pathlib import Path

import pytest

import modest

ROOT = Path(modest.__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(code, id=f"{page.name}-{k}")
    for page in PAGES
    for k, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S))
]
MODULES = sorted(m.name for m in pkgutil.walk_packages(modest.__path__, "modest.") if "__main__" not in m.name)


@pytest.mark.parametrize("code", BLOCKS)
def test_page_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {})


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # the module's own globals, and the names its examples may use without saying so
        found = doctest.testmod(module, extraglobs={"np": importlib.import_module("numpy"), "modest": modest})
    assert found.failed == 0


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_readme_names_the_commands_there_are():
    from modest.cli import COMMANDS

    named = set(re.findall(r"^modest (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M))
    assert named <= set(COMMANDS)
