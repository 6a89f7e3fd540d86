"""The documents are correct: their configurations load, their links work, their commands exist."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sightd.daemon.cli import build_parser
from sightd.daemon.config.entries import PluginSource
from sightd.daemon.config.installed import installed_plugins
from sightd.daemon.config.load import load_text
from sightd.plugins.api import AnyPlugin
from tests.support.certificates import self_signed
from tests.support.example_plugin.sightd_motion import Motion

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")])


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
    environ = {"CAMERA_PASSWORD": "x"}
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


def commands() -> list[tuple[Path, str]]:
    lines = [(path, line) for path, text in blocks("sh") for line in text.splitlines()]
    return [(path, line) for path, line in lines if re.match(r"(\.venv/bin/)?sightd ", line)]


@pytest.mark.parametrize(("path", "line"), commands())
def test_every_command_in_a_document_is_understood(path: Path, line: str) -> None:
    words = re.split(r"[#|]", line)[0].split()[1:]
    assert callable(build_parser().parse_args(words).run)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_inside_the_project_leads_somewhere(path: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", path.read_text()) if "://" not in link]
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing


def test_the_make_targets_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text())):
        assert re.search(rf"^{target}:", makefile, re.M), target
