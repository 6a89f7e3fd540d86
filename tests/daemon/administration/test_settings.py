"""Cameras, plug-ins and rules are changed in the file, with its comments kept; jobs are bounded."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from sightd.daemon.administration.errors import BusyError, NameTakenError, UnknownNameError, UnsupportedError
from sightd.daemon.administration.jobs import MOST_RUNNING, Jobs
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.config.rules import EventRule
from sightd.daemon.events.event import PendingEvent
from sightd.engines.progress import Progress
from tests.support.administration import CANARY, SITE, Site
from tests.support.waiting import eventually

pytestmark = pytest.mark.computing


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_cameras_are_listed_without_secrets(site: Site) -> None:
    front, back = site.administration.cameras.all()
    assert (front.name, front.title, front.kind, front.chain) == (
        "front",
        "Front",
        "pattern",
        ("detector", "tracker", "zones"),
    )
    assert (back.source, back.enabled, back.paused) == ("rtsp://***@127.0.0.1:1/x", False, None)
    assert site.administration.cameras.written("back")["source"] == "rtsp://***@127.0.0.1:1/x"


def test_a_camera_is_added_changed_and_removed(site: Site) -> None:
    cameras = site.administration.cameras
    assert cameras.add("gate", {"source": "testpattern://", "title": None, "fps": 5}, "anna").added == ("gate",)
    assert "  gate:\n    source: testpattern://\n    fps: 5\nplugins:" in site.path.read_text()
    assert cameras.change("gate", {"title": "Gate", "fps": None}, "anna").changed == ("gate",)
    assert "    title: Gate\nplugins:" in site.path.read_text()
    assert cameras.remove("gate", "anna").removed == ("gate",)
    assert site.path.read_text() == SITE


def test_names_must_be_free_to_add_and_known_to_change(site: Site) -> None:
    cameras = site.administration.cameras
    with pytest.raises(NameTakenError):
        cameras.add("front", {"source": "testpattern://"}, "anna")
    with pytest.raises(UnknownNameError):
        cameras.add("gate", {"source": "testpattern://"}, "anna", before="nothing")
    for change in (cameras.remove, lambda name, who: cameras.change(name, {"fps": 5}, who)):
        with pytest.raises(UnknownNameError):
            change("nothing", "anna")
    with pytest.raises(ConfigError, match=r"cameras\.Gate"):
        cameras.add("Gate", {"source": "testpattern://"}, "anna")
    assert site.path.read_text() == SITE


def test_a_source_keeps_its_password_only_if_it_is_unchanged(site: Site) -> None:
    cameras = site.administration.cameras
    cameras.change("back", {"source": "rtsp://***@127.0.0.1:1/x", "title": "Back"}, "anna")
    assert f"rtsp://admin:{CANARY}@127.0.0.1:1/x  # not here yet" in site.path.read_text()
    with pytest.raises(ConfigError, match="write the secret again"):
        cameras.change("back", {"source": "rtsp://***@127.0.0.1:2/x"}, "anna")


def test_cameras_are_reordered(site: Site) -> None:
    site.administration.cameras.reorder(["back", "front"], "anna")
    assert [one.name for one in site.administration.cameras.all()] == ["back", "front"]
    assert site.path.read_text().endswith(SITE[SITE.index("plugins:") :])
    with pytest.raises(UnsupportedError, match="each camera"):
        site.administration.cameras.reorder(["front"], "anna")


def test_the_analysis_of_a_camera_is_paused_if_that_is_possible(site: Site) -> None:
    site.administration.cameras.pause("front", True)
    assert site.administration.cameras.get("front").paused is True
    with pytest.raises(UnsupportedError, match="disabled"):
        site.administration.cameras.pause("back", True)


def test_an_option_of_a_plugin_is_written_to_the_file(site: Site) -> None:
    plugins = site.administration.plugins
    assert plugins.get("detector").options["min_score"].value == 0.4
    changes = plugins.change("detector", {"min_score": 0.5, "classes": ["person"]}, "anna", persist=True)
    assert (changes.adjusted, changes.replaced, changes.changed) == (("detector",), (), ())
    assert "    min_score: 0.5  # low\n    classes: [person]\n" in site.path.read_text()


def test_an_option_of_a_plugin_is_adjusted_until_the_next_start(site: Site) -> None:
    plugins = site.administration.plugins
    plugins.change("detector", {"min_score": 0.7}, "anna", persist=False)
    option = plugins.get("detector").options["min_score"]
    assert (option.value, option.adjusted) == (0.7, True)
    assert site.path.read_text() == SITE
    plugins.change("detector", {"min_score": 0.6}, "anna", persist=True)
    option = plugins.get("detector").options["min_score"]
    assert (option.value, option.adjusted) == (0.6, False), "the file's value applies again"
    plugins.change("detector", {"min_score": 0.7}, "anna", persist=False)
    plugins.change("detector", {"min_score": None}, "anna", persist=False)
    assert plugins.get("detector").options["min_score"].value == 0.6


def test_what_redaction_depends_on_changes_only_in_the_file(tmp_path: Path) -> None:
    site = Site(tmp_path, SITE.replace("min_score: 0.4", "redact: [person]"))
    plugins = site.administration.plugins
    assert plugins.get("detector").redacting
    with pytest.raises(UnsupportedError, match="persist=true"):
        plugins.change("detector", {"min_score": 0.9}, "anna", persist=False)
    assert plugins.change("detector", {"min_score": 0.3}, "anna", persist=True).adjusted == ("detector",)


def test_secret_options_of_plugins_are_not_shown(tmp_path: Path) -> None:
    options = f"{{use: describe, url: 'http://127.0.0.1:1/v1', model: m, token: {CANARY}}}"
    site = Site(tmp_path, SITE.replace("plugins:\n", f"plugins:\n  words: {options}\n"))
    entry = site.administration.plugins.get("words")
    assert entry.options["token"].value == "***"
    assert CANARY not in str(entry)


def test_a_rule_is_added_replaced_tried_and_removed(site: Site) -> None:
    rules = site.administration.rules
    assert rules.put("night", {"kinds": ["line.*"], "active": "mon-fri 18:00-07:00"}, "anna").event_rules == ("night",)
    assert rules.get("night") == {"kinds": ["line.*"], "active": "mon-fri 18:00-07:00"}
    rules.put("night", {"kinds": ["line.*"], "cameras": None}, "anna")
    assert rules.all() == {"night": {"kinds": ["line.*"]}}
    with pytest.raises(ConfigError, match="known options"):
        rules.put("night", {"kind": ["line.*"]}, "anna")
    assert rules.remove("night", "anna").event_rules == ("night",)
    with pytest.raises(UnknownNameError):
        rules.remove("night", "anna")
    with pytest.raises(UnknownNameError):
        rules.get("night")


def test_a_rule_is_tried_with_stored_events(site: Site) -> None:
    site.journal.start()
    try:
        for score in (0.2, 0.6, 0.9):
            site.journal.record(
                PendingEvent("line.crossed", time.time(), "back", "zones", {"line": "a", "score": score})
            )
        site.journal.record(PendingEvent("camera.down", time.time(), "back"))
        eventually(lambda: site.journal.reader.span()[1] == 4)
        found = site.administration.rules.trial(EventRule(kinds=["line.*"], min_score=0.5, lines=["a"]))
    finally:
        site.journal.close(2.0)
    assert (found.tried, found.named, found.selected, found.held_back) == (4, 3, 2, {"min_score": 1})
    assert [event.facts["score"] for event in found.events] == [0.9, 0.6]


def test_models_are_listed_with_who_uses_them(site: Site) -> None:
    models = {model.name: model for model in site.administration.models.all()}
    assert models["deimv2-femto"].used_by == ["detector"]
    assert models["yunet"].role == "face-detector"
    backends = {one.name: one for one in site.administration.models.backends()}
    assert (backends["onnxruntime"].missing, backends["openvino"].configured) == (None, None)
    with pytest.raises(UnknownNameError, match="did you mean"):
        site.administration.models.fetch("yunett")


def test_a_job_reports_its_progress_and_can_be_cancelled() -> None:
    jobs, going, go_on = Jobs(), threading.Event(), threading.Event()

    def work(progress: Progress) -> str:
        progress("downloading", 1, 10)
        going.set()
        go_on.wait(20)
        progress("downloading", 2, 10)
        return "never"

    job = jobs.start("fetch", "a", work)
    assert jobs.start("fetch", "a", work).id == job.id
    assert going.wait(20)
    assert (jobs.get(job.id).done, jobs.get(job.id).total) == (1, 10)
    jobs.cancel(job.id)
    go_on.set()
    eventually(lambda: jobs.get(job.id).state == "cancelled")
    with pytest.raises(UnknownNameError):
        jobs.get(99)


def test_a_job_that_fails_says_why_without_secrets() -> None:
    def work(_progress: Progress) -> str:
        raise OSError(f"http://me:{CANARY}@host: no")

    jobs = Jobs()
    job = jobs.start("fetch", "a", work)
    eventually(lambda: jobs.get(job.id).state == "failed")
    assert jobs.get(job.id).error == "http://***@host: no"


def test_jobs_are_bounded_and_end_with_the_daemon() -> None:
    jobs, stop = Jobs(), threading.Event()

    def work(progress: Progress) -> str:
        while not stop.wait(0.01):
            progress("working", 0, None)
        return "done"

    for number in range(MOST_RUNNING):
        jobs.start("train", str(number), work)
    with pytest.raises(BusyError):
        jobs.start("train", "more", work)
    jobs.close(20)
    assert {job.state for job in jobs.all()} == {"cancelled"}
    with pytest.raises(BusyError):
        jobs.start("train", "later", work)
