"""Short versions of `bench.mutations` and `bench.cycles`: ten thousand broken files, a thousand cameras."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.cycles import SPARE_THREADS, cycles
from bench.mutations import Trial, mutate, trial
from tests.support.daemon import DaemonProcess

pytestmark = pytest.mark.waiting


@pytest.mark.parametrize("files", [80, pytest.param(400, marks=pytest.mark.slow)])
def test_no_mutated_configuration_is_taken_by_half(files: int, tmp_path: Path) -> None:
    outcome = trial(tmp_path, files, seed=20, report=lambda _number, _outcome: None)
    assert outcome.faults == []
    assert outcome.taken + outcome.refused == files
    assert (outcome.taken > files / 20, outcome.refused > files / 4) == (True, True)


def test_the_trial_sees_a_daemon_that_is_not_as_its_file_says(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, {"cameras": {"yard": {"source": "testpattern://"}}}) as daemon:
        trial = Trial(daemon)
        trial.give("cameras: {other: {source: 'testpattern://', fsp: 1}}\n")
        assert trial.outcome.faults == []
        trial._now.config.cameras["ghost"] = trial._now.config.cameras["yard"]
        trial.give("cameras: {}\n")
    assert [what for what, _ in trial.outcome.faults] == ["cameras ['yard']"]


def test_the_same_seed_gives_the_same_files() -> None:
    one, other = random.Random(7), random.Random(7)
    files = [mutate("cameras:\n  a: {source: x}\nchain: [b]\n", one) for _ in range(50)]
    assert files == [mutate("cameras:\n  a: {source: x}\nchain: [b]\n", other) for _ in range(50)]
    assert len(set(files)) > 40


@pytest.mark.slow
def test_cameras_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    outcome = cycles(tmp_path, 60, lambda _number, _sample, _series: None)
    threads = [now.threads for now in outcome.samples]
    assert max(threads) - min(threads) <= SPARE_THREADS
    first, last = outcome.samples[2], outcome.samples[-1]
    assert last.descriptors <= first.descriptors + 2
    assert outcome.series[-1] == outcome.series[0]
    assert last.memory - first.memory < 15
