"""Reloads: one at a time, one queued; none that hangs blocks anything, and a client that disconnects does no harm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sightd.daemon.app import reload
from sightd.daemon.app.daemon import AbandonedError
from sightd.daemon.app.reload import Reloads
from sightd.daemon.app.systemd import Notifier
from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.overrides import Override
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.serve.view import ConfigurationStatus
from tests.support.process_logging import restored
from tests.support.waiting import eventually

CHANGES = ConfigDiff(added=("a",))
FAULT = RuntimeError("half way")


class Daemon:
    """Calls `does` for each configuration, and counts the calls."""

    def __init__(self) -> None:
        self.applied = 0
        self.does: Callable[[Callable[[], None]], None] = lambda commit: commit()
        self.state = SimpleNamespace(configuration=ConfigurationStatus("current", 0.0))
        self.told: list[tuple[ConfigDiff | None, str]] = []

    def apply(self, _loaded: object, commit: Callable[[], None]) -> ConfigDiff:
        self.applied += 1
        self.does(commit)
        return CHANGES

    def reloaded(self, change: ConfigDiff | None, reason: str = "") -> None:
        self.told.append((change, reason))


class Ward:
    """The reloads of a simulated daemon."""

    def __init__(self, path: Path) -> None:
        self.path, self.daemon, self.fatal = path, Daemon(), list[BaseException]()
        self.reloads = Reloads(path, Notifier({}), self.fatal.append)

    def start(self) -> None:
        daemon: Any = self.daemon
        self.reloads.start(daemon)

    def holds(self) -> tuple[threading.Event, threading.Event]:
        """Makes the next reload wait until the second event is set; the first is set when it has begun."""
        begun, go_on = threading.Event(), threading.Event()

        def hold(commit: Callable[[], None]) -> None:
            begun.set()
            go_on.wait(30)
            commit()

        self.daemon.does = hold
        return begun, go_on


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Ward]:
    path = tmp_path / "site.yaml"
    path.write_text("cameras: {a: {source: 'testpattern://'}}\nchain: []\n")
    with restored():
        one = Ward(path)
        yield one
        one.reloads.close()


def test_what_was_asked_for_before_the_start_is_done_after_it(harness: Ward) -> None:
    future = harness.reloads.ask()
    harness.start()
    assert future.result(20) == CHANGES
    assert harness.daemon.told == [(CHANGES, "")]
    assert harness.daemon.state.configuration.state == "current"


def test_a_faulty_file_is_refused_and_the_reason_is_kept(harness: Ward) -> None:
    harness.start()
    harness.path.write_text("cameras: {a: {sorce: x}}\n")
    with pytest.raises(ConfigError, match='did you mean "source"'):
        harness.reloads.ask().result(20)
    assert harness.daemon.applied == 0
    ((change, reason),) = harness.daemon.told
    assert change is None
    assert "site.yaml:1:" in reason
    assert harness.daemon.state.configuration.state == "refused"


def test_an_option_under_its_previous_name_is_applied_with_a_warning(
    harness: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.path.write_text(
        "cameras:\n  a:\n    source: testpattern://\n    reconnect: {first: 1s}\nlog: {format: human}\n"
    )
    harness.start()
    assert harness.reloads.ask().result(20) == CHANGES
    assert "site.yaml:4:17: cameras.a.reconnect.first: was renamed to initial_delay" in capsys.readouterr().err


def test_all_who_ask_during_a_reload_share_the_next(harness: Ward) -> None:
    begun, go_on = harness.holds()
    harness.start()
    first = harness.reloads.ask()
    assert begun.wait(20)
    assert harness.daemon.state.configuration.state == "reloading"
    others = [harness.reloads.ask() for _ in range(5)]
    for _ in range(100):
        harness.reloads.ask_once()
    go_on.set()
    for future in (first, *others):
        assert future.result(20) == CHANGES
    assert harness.daemon.applied == 2


def test_one_that_is_under_way_cannot_be_cancelled(harness: Ward) -> None:
    begun, go_on = harness.holds()
    harness.start()
    future = harness.reloads.ask()
    assert begun.wait(20)
    assert not future.cancel()
    go_on.set()
    assert future.result(20) == CHANGES


def test_one_that_nobody_waits_for_any_more_is_left_out(harness: Ward) -> None:
    gone = harness.reloads.ask()
    assert gone.cancel()
    harness.start()
    eventually(lambda: not harness.reloads._waiting)
    assert harness.reloads.ask().result(20) == CHANGES
    assert harness.daemon.applied == 1


def test_one_that_makes_no_progress_fails_and_can_change_nothing_afterwards(
    harness: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "OPEN_LIMIT", 0.2)
    begun, go_on = harness.holds()
    ended = Future[BaseException]()
    held = harness.daemon.does

    def remember(commit: Callable[[], None]) -> None:
        try:
            held(commit)
        except BaseException as error:
            ended.set_result(error)
            raise

    harness.daemon.does = remember
    harness.start()
    with pytest.raises(ConfigError, match="no progress for 0 s while opening new cameras and plug-ins"):
        harness.reloads.ask().result(20)
    assert begun.is_set()
    assert harness.daemon.state.configuration.state == "failed"
    harness.daemon.does = lambda commit: commit()
    assert harness.reloads.ask().result(20) == CHANGES, "the next one is not held up"
    go_on.set()
    assert isinstance(ended.result(20), AbandonedError)
    assert [change for change, _ in harness.daemon.told] == [None, CHANGES]


def test_progress_gives_it_more_time(harness: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "OPEN_LIMIT", 1.0)
    go_on = threading.Event()

    def download(commit: Callable[[], None]) -> None:
        for _ in range(20):  # twice the time limit
            harness.reloads.progress()
            go_on.wait(0.1)
        commit()

    harness.daemon.does = download
    harness.start()
    assert harness.reloads.ask().result(30) == CHANGES


def test_too_many_that_hang_are_too_many(harness: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "OPEN_LIMIT", 0.05)
    _, go_on = harness.holds()
    harness.start()
    for _ in range(reload.MAX_HUNG):
        with pytest.raises(ConfigError, match="no progress"):
            harness.reloads.ask().result(20)
    with pytest.raises(ConfigError, match="still hang; restart sightd"):
        harness.reloads.ask().result(20)
    assert harness.daemon.applied == reload.MAX_HUNG
    go_on.set()


def test_a_stop_abandons_what_hangs_and_answers_all_who_wait(harness: Ward) -> None:
    begun, go_on = harness.holds()
    harness.start()
    first = harness.reloads.ask()
    assert begun.wait(20)
    second = harness.reloads.ask()
    harness.reloads.close()
    for future in (first, second):
        with pytest.raises(ConfigError, match="the daemon is stopping"):
            future.result(0)
    go_on.set()


def test_a_fault_before_anything_changed_refuses_and_one_after_it_ends_the_daemon(harness: Ward) -> None:
    def before(_commit: Callable[[], None]) -> None:
        raise FAULT

    def after(commit: Callable[[], None]) -> None:
        commit()
        raise FAULT

    harness.start()
    harness.daemon.does = before
    with pytest.raises(ConfigError, match="bug in sightd: RuntimeError"):
        harness.reloads.ask().result(20)
    assert harness.fatal == []
    harness.daemon.does = after
    with pytest.raises(ConfigError, match="bug in sightd"):
        harness.reloads.ask().result(20)
    assert harness.fatal == [FAULT]


def adjusted(harness: Ward, value: object) -> Future[ConfigDiff]:
    return harness.reloads.ask([Override(("plugins", "detector", "min_score"), value)])


def min_scores(harness: Ward) -> list[float]:
    """Has the configurations that are applied add their threshold to the list that it returns."""
    seen: list[float] = []
    apply = harness.daemon.apply

    def noting(_loaded: Any, commit: Callable[[], None]) -> ConfigDiff:
        seen.append(_loaded.plugin_configs["detector"].min_score)
        return apply(_loaded, commit)

    harness.daemon.apply = noting  # type: ignore[method-assign]
    return seen


def test_an_adjusted_option_stays_over_later_reloads_and_a_refused_one_does_not(harness: Ward) -> None:
    harness.path.write_text("cameras: {a: {source: 'testpattern://', chain: [detector]}}\n")
    seen = min_scores(harness)
    harness.start()
    assert adjusted(harness, 0.7).result(30) == CHANGES
    with pytest.raises(ConfigError, match="min_score"):
        adjusted(harness, 7.0).result(30)
    assert harness.reloads.ask().result(30) == CHANGES
    assert seen == [0.7, 0.7]


def test_adjusted_options_that_do_not_fit_a_new_file_are_dropped(
    harness: Ward, caplog: pytest.LogCaptureFixture
) -> None:
    harness.path.write_text(
        "cameras: {a: {source: 'testpattern://', chain: [front]}}\nplugins: {front: {use: detector}}\n"
    )
    harness.start()
    override = Override(("plugins", "front", "min_score"), 0.7)
    assert harness.reloads.ask([override]).result(30) == CHANGES
    harness.path.write_text("cameras: {a: {source: 'testpattern://', chain: []}}\n")
    assert harness.reloads.ask().result(30) == CHANGES
    assert "the file's values apply" in caplog.text


def test_the_threshold_of_a_plugin_that_redacts_is_not_adjusted(
    harness: Ward, caplog: pytest.LogCaptureFixture
) -> None:
    """A higher one would show what it hides; nor does one remain that was set before the file said so."""
    text = "cameras: {a: {source: 'testpattern://', chain: [detector]}}\n"
    harness.path.write_text(text)
    seen = min_scores(harness)
    harness.start()
    adjusted(harness, 0.7).result(30)
    harness.path.write_text(f"{text}plugins: {{detector: {{redact: [person], min_score: 0.3}}}}\n")
    harness.reloads.ask().result(30)
    adjusted(harness, 0.9).result(30)
    assert seen == [0.7, 0.3, 0.3]
    assert caplog.text.count("the file's values apply") == 2
