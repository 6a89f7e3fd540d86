"""Work that may use its share of the time, and no more."""

from __future__ import annotations

import pytest

from sightd.daemon.metrics.registry import Budget


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_saved_up_may_be_spent_at_once_and_then_its_share() -> None:
    clock = Clock()
    budget, done = Budget(share=0.1, most=0.5, clock=clock), 0
    for _ in range(10_000):
        if budget.left:
            budget.spend(0.01)
            done += 1
        clock.now += 0.001
    assert done * 0.01 == pytest.approx(0.5 + 0.1 * 10, abs=0.02)


def test_no_more_is_saved_up_than_may_be() -> None:
    clock = Clock()
    budget = Budget(share=0.1, most=0.5, clock=clock)
    clock.now += 3600
    assert budget.left
    budget.spend(0.5)
    assert not budget.left
