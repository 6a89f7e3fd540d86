"""An event may refer to an earlier one; what it says about that is checked and copied like its facts."""

from __future__ import annotations

from typing import Any

import pytest

from sightd.plugins.api import Event, EventRef, Events, Phase, Results
from sightd.plugins.configuration.declarations import Declarations, UndeclaredError

DECLARED = Declarations({}, frozenset({"door.described"}))


def checked(about: Any, **facts: Any) -> Event:
    [event] = DECLARED.events(Results(Events((Event("door.described", facts, about),))))
    return event


def test_an_event_may_refer_to_one_of_another_kind_whose_facts_are_copied_as_json() -> None:
    box = [1.5, 2]
    event = checked(EventRef("door.opened", 7, {"box": tuple(box)}), text="A door.")
    assert event == Event("door.described", {"text": "A door."}, EventRef("door.opened", 7.0, {"box": box}))


def test_it_need_not_refer_to_any() -> None:
    assert checked(None, event=7) == Event("door.described", {"event": 7})


@pytest.mark.parametrize(
    ("about", "facts", "message"),
    [
        ("door.opened", {}, "about is str, expected EventRef"),
        (EventRef("door.opened", 7.0), {"event": 7}, "the fact event is added by the daemon"),
        (None, {"rules": ["night"]}, "the fact rules is added by the daemon"),
        (EventRef("door.opened", 7.0, {"box": float("nan")}), {}, "door.opened: facts cannot be written as JSON"),
        (EventRef("door.opened", 7.0, {"text": "x" * 5000}), {}, "at most 4096"),
    ],
)
def test_a_reference_that_cannot_be_stored_is_invalid(about: Any, facts: dict[str, Any], message: str) -> None:
    with pytest.raises(UndeclaredError, match=message):
        checked(about, **facts)


@pytest.mark.parametrize("phase", Phase)
def test_an_event_keeps_its_phase(phase: Phase) -> None:
    event = Event("door.described", {}, EventRef("door.opened", 7.0), phase)
    assert DECLARED.events(Results(Events((event,)))) == (event,)


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ("began", "phase is 'began', expected a Phase"),
        (Phase.UPDATED, "phase is updated, so about must name the event that began"),
        (Phase.ENDED, "phase is ended, so about must name the event that began"),
    ],
)
def test_an_update_or_end_of_nothing_is_invalid(phase: Any, message: str) -> None:
    with pytest.raises(UndeclaredError, match=message):
        DECLARED.events(Results(Events((Event("door.described", phase=phase),))))
