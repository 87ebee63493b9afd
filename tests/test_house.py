"""The house: order of rooms, no circles, sizes, names, docstrings, and a quick door."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import modest

ROOT = Path(modest.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# each room imports only rooms named before it
ORDER = (
    "types", "checks", "evaluation", "data", "neighbours", "training", "encoders", "representation", "selection",
    "pairing", "learning", "completion", "classifier", "rounds", "bench", "report", "annotation", "cli",
)  # fmt: skip
APART = {("selection", "pairing"), ("pairing", "selection"), ("report", "annotation"), ("annotation", "report")}
EMPTY_NAMES = {"utils", "util", "common", "misc", "base", "helpers", "helper"}


def room_of(path: Path) -> str:
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


def imports(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "relative imports hide the room they come from"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
class TestFile:
    def test_imports_only_earlier_rooms(self, path):
        room = room_of(path)
        if room == "__init__":
            return
        assert room in ORDER, f"{room} is no room of the house"
        for name in imports(parsed(path)):
            parts = name.split(".")
            if parts[0] != "modest" or len(parts) < 2 or parts[1] not in ORDER:
                continue
            assert ORDER.index(parts[1]) <= ORDER.index(room), f"{path.name} ({room}) imports the later room {parts[1]}"
            assert (room, parts[1]) not in APART

    def test_sizes_and_names(self, path):
        assert path.stem not in EMPTY_NAMES
        assert path.parent.name not in EMPTY_NAMES
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert code_lines(node) <= 45, f"{node.name} has {code_lines(node)} code lines"

    def test_no_hidden_state_and_no_pickle(self, path):
        text = path.read_text(encoding="utf-8")
        for phrase in (
            "np.random.seed",
            "torch.manual_seed",
            "random.seed",
            "import pickle",
            "allow_pickle=True",
            "torch.save",
        ):
            assert phrase not in text, f"{phrase} in {path.name}"

    def test_public_names_are_documented(self, path):
        tree = parsed(path)
        assert ast.get_docstring(tree), "the file says nothing about itself"
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{node.name} is not documented"


def test_no_circles_between_files():
    names = {
        ".".join(("modest", *p.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): p for p in FILES
    }
    graph = {}
    for name, path in names.items():
        graph[name] = set()
        tree = parsed(path)
        guards = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
        typing_only = {id(inner) for guard in guards for inner in ast.walk(guard)}
        for node in ast.walk(tree):
            if id(node) in typing_only or not isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            for found in imports(node):
                while found and found not in names:
                    found = found.rpartition(".")[0]
                if found and found != name and found != "modest" and not name.startswith(found + "."):
                    graph[name].add(found)
    done, path = set(), []

    def visit(name):
        assert name not in path, f"circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name in done:
            return
        path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        path.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_class_depth_at_most_two():
    parents = {}
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                parents[node.name] = [ast.unparse(b).split("[")[0].split(".")[-1] for b in node.bases]

    def depth(name):
        return 1 + max((depth(parent) for parent in parents[name] if parent in parents), default=0)

    assert {name: depth(name) for name in parents if depth(name) > 2} == {}


@pytest.mark.parametrize("name", modest.__all__)
def test_public_names_resolve_and_are_documented(name):
    assert getattr(modest, name).__doc__


def test_unknown_public_name_says_what_there_is():
    with pytest.raises(AttributeError, match="MultimodalClassifier"):
        _ = modest.nothing


def heavy(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(out.split()) & {"torch", "pandas", "sklearn", "matplotlib", "scipy", "faiss", "pyarrow", "transformers"}


def test_import_is_quick_and_without_torch():
    assert heavy("import modest") == set()
    assert heavy("import modest; modest.Views") == set()


def test_command_line_starts_without_heavy_imports():
    assert heavy("import modest.cli") == set()
    assert "torch" not in heavy("import modest.evaluation, modest.data")


def test_mmcsal_is_the_module_and_the_table_holds_the_function():
    assert not callable(modest.selection.mmcsal)
    assert callable(modest.selection.METHODS["mmcsal"].function)
