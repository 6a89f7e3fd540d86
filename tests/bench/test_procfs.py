"""CPU time and memory of processes."""

from __future__ import annotations

import os
import time

import pytest

from bench.pipeline.procfs import cpu_by_group, cpu_seconds, group_of, resident_mib, used_between


@pytest.mark.parametrize(
    ("name", "group"),
    [("output:cam1", "output"), ("feed-cam0", "feed"), ("sightd", "sightd"), ("worker12", "worker"), ("-x", "-x")],
)
def test_threads_are_grouped_by_the_first_word_of_their_names(name: str, group: str) -> None:
    assert group_of(name) == group


def test_use_is_what_was_added_greatest_first() -> None:
    used = used_between({"feed": 1.0, "idle": 2.0}, {"feed": 1.5, "idle": 2.0, "output": 3.0})
    assert list(used.items()) == [("output", 3.0), ("feed", 0.5)]


def test_this_process_has_used_what_python_says() -> None:
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert cpu_seconds(os.getpid()) == pytest.approx(time.process_time(), abs=0.05)
    assert sum(cpu_by_group(os.getpid()).values()) <= cpu_seconds(os.getpid()) + 0.05
    assert resident_mib(os.getpid()) > 1
