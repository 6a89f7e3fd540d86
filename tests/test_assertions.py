"""Every test has an assertion: without one, a test would pass even if its subject did nothing."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import pytest

pytestmark = pytest.mark.computing

ROOT = Path(__file__).resolve().parents[1]
CHECKERS = {"raises", "warns", "fail", "check_model", "check_schema"}
"""Library functions that raise if a check fails."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def in_reach(file: str, nodes: Sequence[ast.AST], files: Collection[str]) -> set[str]:
    """Returns the file itself, those it imports, and the conftest.py files of its folders."""
    found = {file, *(str(folder / "conftest.py") for folder in PurePath(file).parents)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            paths = [module.replace(".", "/") for module in modules]
            found |= {f"{path}.py" for path in paths} | {f"{path}/__init__.py" for path in paths}
    return found.intersection(files)


def module_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Returns names of imported modules: `subprocess.run` is not a helper's method `run`."""
    imports = [node for node in nodes if isinstance(node, ast.Import)]
    return {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}


@dataclass(frozen=True, slots=True)
class Stated:
    """Whether a function itself asserts something, and the names of what it calls, including decorators."""

    name: str
    line: int
    directly: bool
    calls: frozenset[str]

    @staticmethod
    def by(function: Function, modules: set[str]) -> Stated:
        directly, calls = False, set[str]()
        for node in ast.walk(function):
            directly |= isinstance(node, ast.Assert)
            directly |= isinstance(node, ast.Raise) and "AssertionError" in ast.unparse(node)
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Attribute):
                directly |= called.attr in CHECKERS or called.attr.startswith("assert")
                if not (isinstance(called.value, ast.Name) and called.value.id in modules):
                    calls.add(called.attr)
            elif isinstance(called, ast.Name):
                directly |= called.id.startswith("assert")
                calls.add(called.id)
        return Stated(function.name, function.lineno, directly, frozenset(calls))


def without_an_assertion(sources: Mapping[str, str]) -> list[str]:
    """Returns the tests in these files (text by path) that assert nothing, directly or through a helper in reach."""
    reach: dict[str, set[str]] = {}
    stated: dict[str, list[Stated]] = {}
    for name, text in sources.items():  # no tree is kept: the garbage collector would search it again and again
        nodes = list(ast.walk(ast.parse(text)))
        modules = module_names(nodes)
        reach[name] = in_reach(name, nodes, sources)
        stated[name] = [Stated.by(node, modules) for node in nodes if isinstance(node, Function)]
    helpers: dict[str, set[str]] = {name: set() for name in sources}

    def asserts(name: str, one: Stated) -> bool:
        return one.directly or any(one.calls & helpers[file] for file in reach[name])

    changed = True
    while changed:  # a helper may call another one
        changed = False
        for name, ones in stated.items():
            found = {one.name for one in ones if asserts(name, one) and one.name[:2] != "__"}
            changed |= found != helpers[name]
            helpers[name] = found
    return [
        f"{name}:{one.line} {one.name}"
        for name, ones in stated.items()
        if PurePath(name).name.startswith("test_")
        for one in ones
        if one.name.startswith("test") and not asserts(name, one)
    ]


def test_every_test_asserts_something() -> None:
    paths = sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")])
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    assert len(sources) > 300
    assert without_an_assertion(sources) == []


def test_a_test_that_only_runs_its_subject_is_found() -> None:
    bad = "import os\nfrom x.harness import Harness\ndef test_a():\n    os.run()\n    with suppress(KeyError): f()\n"
    harness = "class Harness:\n    def run(self):\n        assert self\n"
    other = "def f():\n    assert 'this is another f'\n"
    found = without_an_assertion({"x/test_bad.py": bad, "x/harness.py": harness, "x/test_other.py": other})
    assert found == ["x/test_bad.py:3 test_a"]


def test_an_assertion_may_be_in_a_helper_of_a_helper() -> None:
    good = "from x.harness import Harness\ndef test_a(harness):\n    harness.calm()\n"
    harness = "from x.waiting import eventually\nclass Harness:\n    def calm(self):\n        eventually()\n"
    waiting = "def eventually():\n    raise AssertionError('not yet')\n"
    assert without_an_assertion({"x/test_good.py": good, "x/harness.py": harness, "x/waiting.py": waiting}) == []
