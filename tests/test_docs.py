"""The documents are correct: configurations load, links and paths work, commands exist, references are complete."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from sightd.daemon.cli.main import build_parser
from sightd.daemon.config.load import load_text
from sightd.daemon.config.plugin_entries import PluginSource, installed_plugins
from sightd.plugins.api import AnyPlugin
from sightd_motion.plugin import Motion
from tests.support.certificates import self_signed

pytestmark = pytest.mark.computing

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")])
PAGES = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]  # which names what existed once
FOLDERS = "bench|config|daemon|docs|engines|examples|plugins|tests"


def blocks(language: str) -> list[tuple[Path, str]]:
    found = [
        (path, text) for path in DOCUMENTS for text in re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S)
    ]
    assert found, f"no {language} block in any document"
    return found


def with_the_example() -> PluginSource:
    """Returns the installed plug-ins and the one that docs/plugins.md builds."""
    installed = installed_plugins()

    def find(name: str) -> type[AnyPlugin]:
        return Motion if name == "motion" else installed.find(name)

    return replace(installed, find=find, available=[*installed.available, "motion"])


@pytest.mark.parametrize(("path", "text"), blocks("yaml"))
def test_every_configuration_in_a_document_loads(path: Path, text: str, tmp_path: Path) -> None:
    environ = {"CAMERA_PASSWORD": "x", "HOOK_SECRET": "a-secret-of-16-letters", "MQTT_PASSWORD": "x",
               "KAFKA_PASSWORD": "x", "NATS_TOKEN": "x", "NTFY_URL": "ntfys://ntfy.example.com/yard",
               "MAIL_URL": "mailtos://user:password@example.com?to=ann@example.com"}  # fmt: skip
    secrets = tmp_path / "etc"
    secrets.mkdir()
    (secrets / "wall.token").write_text("a-token-for-the-wall-0123456789")
    if "tls:" in text:
        pair = self_signed(secrets)
        Path(pair["certificate"]).rename(secrets / "cert.pem")
        Path(pair["key"]).rename(secrets / "key.pem")
    text = text.replace("/etc/sightd", str(secrets))
    loaded = load_text(text, path, environ=environ, plugins=with_the_example(), cameras="cameras:" in text)
    assert loaded.config.version == 1


COMMAND = r"(sudo )?(\S*/)?sightd "


def commands() -> list[tuple[Path, str]]:
    lines = [(path, line) for path, text in blocks("sh") for line in text.splitlines()]
    return [(path, line) for path, line in lines if re.match(COMMAND, line)]


@pytest.mark.parametrize(("path", "line"), commands())
def test_every_command_in_a_document_is_understood(path: Path, line: str) -> None:
    words = re.sub(COMMAND, "", re.split(r"[#|]", line)[0]).split()
    assert callable(build_parser().parse_args(words).run)


def links(path: Path) -> list[tuple[str, str]]:
    """The (path, anchor) of each link inside the project."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text())
    return [(link, anchor) for link, anchor in found if "://" not in link]


def anchors(path: Path) -> set[str]:
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    headings = re.findall(r"^#+ (.+)$", prose, re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_inside_the_project_leads_somewhere(path: Path) -> None:
    assert not [link for link, _ in links(path) if not (path.parent / link).exists()]
    within = [(path.parent / link if link else path, anchor) for link, anchor in links(path) if anchor]
    assert not [(target.name, anchor) for target, anchor in within if anchor not in anchors(target)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_and_module_that_a_document_names_exists(path: Path) -> None:
    text = path.read_text()
    files = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", text)
    modules = re.findall(r"python -m ((?:bench|tests)[\w.]*\w)", text)
    missing = [name for name in files if not (ROOT / name).exists()]
    missing += [name for name in modules if importlib.util.find_spec(name) is None]
    assert not missing


def test_every_make_target_that_a_document_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    texts = [path.read_text() for path in PAGES]
    named = {target for text in texts for target in re.findall(r"`make ([a-z-]+)", text)}
    named |= {target for _, text in blocks("sh") for target in re.findall(r"\bmake ([a-z][a-z-]+)", text.split("#")[0])}
    assert {"demo", "test", "docs"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 700


def test_every_class_in_the_glossary_exists() -> None:
    glossary = (ROOT / "docs" / "design.md").read_text().split("## Glossary")[1]
    names = re.findall(r"\(`([A-Z]\w+)`\)", glossary)
    assert names
    sources = [
        path.read_text() for folder in ("daemon", "plugins", "engines") for path in (ROOT / folder).rglob("*.py")
    ]
    assert not [name for name in names if not any(f"class {name}" in source for source in sources)]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_configuration_reference_has_every_option(reference: ModuleType) -> None:
    page = reference.configuration()
    schema = json.loads((ROOT / "config" / "sightd.schema.json").read_text())
    sections = {f"## `{name}`" for name in schema["properties"]}
    options = {name for definition in schema["$defs"].values() for name in definition.get("properties", {})}
    rows = set(re.findall(r"^\| `(?:[\w-]+\.)*([\w-]+)` \|", page, re.M))
    assert not {section for section in sections if section not in page}
    assert not options - rows


def test_the_reference_of_the_plug_in_api_has_every_public_class_and_method(reference: ModuleType) -> None:
    page = reference.plugin_api()
    classes = ("Plugin", "PluginConfig", "Context", "Frame", "Canvas", "Results", "JsonResult", "CountedResult")
    for name in (*classes, "CounterSpec", "Count", "EventSpec", "Event", "check_plugin"):
        assert f"### `{name}`" in page
    for name in ("open", "process", "predict", "draw", "forget", "close"):
        assert f"#### `{name}`" in page


def test_every_document_of_the_folder_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1]
    assert not [path.name for path in (ROOT / "docs").glob("*.md") if f": {path.name}\n" not in navigation]
