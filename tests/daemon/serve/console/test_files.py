"""The files of the console: complete in both languages, small, and of known origin."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import sightd.daemon.serve

CONSOLE = Path(sightd.daemon.serve.__file__).parent / "console"
OURS = sorted(path for path in CONSOLE.rglob("*.js") if "vendor" not in path.parts)
IN_ALL, IN_A_PAGE = 300_000, 25_000
"""Bytes that the console may have, and each page of it."""


def texts(language: str) -> Mapping[str, str]:
    return dict(_leaves(json.loads((CONSOLE / "i18n" / f"{language}.json").read_text(encoding="utf-8"))))


def _leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def test_english_and_german_have_the_same_texts_with_the_same_values() -> None:
    english, german = texts("en"), texts("de")
    assert list(english) == list(german)
    values = re.compile(r"\{\w+\}")
    different = [key for key in english if sorted(values.findall(english[key])) != sorted(values.findall(german[key]))]
    assert not different


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_every_text_that_a_module_names_is_there(path: Path) -> None:
    """Keys that are put together while it runs are found by the tests of pages: a missing one logs an error."""
    known = texts("en")
    named = re.findall(r"""\bt\(\s*["']([\w.]+)["']""", path.read_text(encoding="utf-8"))
    missing = [key for key in named if key not in known and f"{key}.other" not in known]
    assert not missing


def test_every_route_has_its_module_and_a_name() -> None:
    routes = (CONSOLE / "routes.js").read_text(encoding="utf-8")
    modules = set(re.findall(r'module: "(\w+)"', routes))
    assert modules == {path.stem for path in (CONSOLE / "pages").glob("*.js")}
    sections = set(re.findall(r'section: "(\w+)", icon', routes))
    assert {f"nav.{one}" for one in sections} <= set(texts("en"))


def test_the_console_is_small() -> None:
    sizes = {path: path.stat().st_size for path in CONSOLE.rglob("*") if path.is_file()}
    licences = sum(size for path, size in sizes.items() if path.name.startswith("LICENSE"))
    assert sum(sizes.values()) - licences <= IN_ALL
    assert not {path.name: size for path, size in sizes.items() if path.parent.name == "pages" and size > IN_A_PAGE}


def test_what_others_wrote_is_what_they_published_and_has_its_licence() -> None:
    vendor = CONSOLE / "vendor"
    manifest = json.loads((vendor / "manifest.json").read_text())
    assert set(manifest) == {path.name for path in vendor.iterdir() if path.suffix == ".js"}
    for name, facts in manifest.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == facts["sha256"]
        assert all((vendor / licence).stat().st_size > 500 for licence in facts["licences"])


@pytest.mark.parametrize("path", [*OURS, CONSOLE / "index.html"], ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere_or_inline(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"https?://(?!www\.w3\.org/)", text)
    assert not re.findall(r"innerHTML|\beval\(|new Function|<script>|<style|\bon\w+=\"", text)
