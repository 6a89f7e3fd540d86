"""The configuration file is checked, written, applied, and restored if the daemon refuses it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightd.daemon.administration.errors import NotWritableError, OutdatedError, UnknownNameError
from sightd.daemon.config.overrides import Override
from sightd.daemon.config.problems import ConfigError, LocatedProblem
from tests.support.administration import CANARY, SITE, Site

pytestmark = pytest.mark.computing


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_file_is_shown_without_secrets(site: Site) -> None:
    view = site.administration.configuration.view()
    assert view.text == SITE.replace(f"admin:{CANARY}", "***")
    assert view.read_only is None
    assert CANARY not in str(view)


def test_an_edited_text_is_written_with_its_secrets_and_applied(site: Site) -> None:
    service = site.administration.configuration
    view = service.view()
    assert view.text is not None
    changes = service.replace(view.text.replace("'Front'", "Gate"), "anna", view.revision)
    assert changes.changed == ("front",)
    assert site.path.read_text() == SITE.replace("'Front'", "Gate")
    assert service.view().revision != view.revision


def test_a_file_that_changed_meanwhile_is_not_overwritten(site: Site) -> None:
    service = site.administration.configuration
    revision = service.view().revision
    site.path.write_text(SITE + "# by hand\n")
    with pytest.raises(OutdatedError):
        service.replace(SITE, "anna", revision)
    assert site.path.read_text().endswith("# by hand\n")


def test_a_text_with_problems_is_not_written(site: Site) -> None:
    service = site.administration.configuration
    with pytest.raises(ConfigError, match='did you mean "title"'):
        service.replace(SITE.replace("title", "tilte"), "anna", None)
    assert site.path.read_text() == SITE
    found = service.check(SITE.replace("title", "tilte"))
    assert [(one.line, one.path) for one in found.problems] == [(4, ("cameras", "front", "tilte"))]
    assert found.changes is None


def test_a_check_says_what_would_change_and_changes_nothing(site: Site) -> None:
    found = site.administration.configuration.check(SITE.replace("'Front'", "Gate"))
    assert found.changes is not None
    assert (found.problems, found.changes.changed) == ((), ("front",))
    assert site.path.read_text() == SITE


def test_the_old_file_comes_back_if_the_daemon_refuses_the_new_one(site: Site) -> None:
    site.reloading.refuses = ConfigError([LocatedProblem((), "the plug-in cannot open")])
    with pytest.raises(ConfigError, match="cannot open"):
        site.administration.configuration.replace(SITE.replace("Front", "Gate"), "anna", None)
    assert site.path.read_text() == SITE


def test_each_change_can_be_undone(site: Site) -> None:
    service = site.administration.configuration
    service.replace(SITE.replace("Front", "Gate"), "anna", None)
    newest, first = service.versions()
    assert (newest.who, newest.changes, first.who) == ("anna", "cameras changed: front", None)
    assert service.version(first.id) == SITE.replace(f"admin:{CANARY}", "***")
    service.restore(first.id, "bert", None)
    assert site.path.read_text() == SITE
    assert [one.who for one in service.versions()] == ["bert", "anna", None]
    with pytest.raises(UnknownNameError):
        service.restore(99, "bert", None)


def test_a_file_that_may_not_be_written_is_reported_with_what_to_do(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests run as root, who may write everywhere."""
    monkeypatch.setattr(os, "access", lambda path, _mode: path != site.path.parent)
    assert "ReadWritePaths=" in str(site.administration.configuration.view().read_only)
    with pytest.raises(NotWritableError, match=r"its folder.*ReadWritePaths="):
        site.administration.configuration.replace(SITE + "#\n", "anna", None)
    assert site.path.read_text() == SITE


def test_a_mounted_file_is_reported_because_it_cannot_be_replaced(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path == site.path)
    with pytest.raises(NotWritableError, match="mount its folder instead"):
        site.administration.configuration.replace(SITE + "#\n", "anna", None)


def test_a_history_that_cannot_be_written_keeps_the_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "in_the_way").write_text("")
    site = Site(tmp_path, environ={"SIGHTD_STATE_DIR": str(tmp_path / "in_the_way")})
    with pytest.raises(NotWritableError, match="could not be undone"):
        site.administration.configuration.replace(SITE.replace("Front", "Gate"), "anna", None)
    assert site.path.read_text() == SITE


def test_a_broken_file_is_not_shown_but_can_be_replaced(site: Site) -> None:
    service = site.administration.configuration
    site.path.write_text("cameras: [\n")
    view = service.view()
    assert (view.text, view.values) == (None, None)
    with pytest.raises(ConfigError):
        service.edit(lambda text, _: text, "anna")
    service.replace(SITE, "anna", view.revision)
    assert site.path.read_text() == SITE


def test_secrets_of_adjusted_options_are_not_shown(site: Site) -> None:
    path = ("plugins", "detector", "min_score")
    site.reloading.ask([Override(path, 0.7)])
    assert site.administration.configuration.view().adjusted == {"plugins.detector.min_score": 0.7}
    site.reloading._overrides[("plugins", "detector", "kye")] = Override(("plugins", "detector", "kye"), CANARY)
    assert CANARY not in str(site.administration.configuration.view())


def test_the_values_of_references_are_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTD_TEST_TITLE", CANARY)
    text = SITE.replace("'Front'", "'${env:SIGHTD_TEST_TITLE}'")
    site = Site(tmp_path, text)
    site.administration.cameras.change("front", {"fps": 5}, "anna")
    assert "title: '${env:SIGHTD_TEST_TITLE}', fps: 5}" in site.path.read_text()
