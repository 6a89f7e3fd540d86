"""Checks what a plug-in returned against what its class declares, and collects what it counts and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightd.daemon.isolation.protocol import NonsenseError
from sightd.plugins.api import AnyPlugin, Count, Event, Events, Results
from sightd.plugins.configuration.declarations import Declarations, UndeclaredError


@dataclass(frozen=True, slots=True)
class Answer:
    """What `process` found on one frame. `counts` are kept by result type, because a later plug-in of the chain may
    replace a result and its counts with it."""

    results: Results
    counts: Mapping[type, Sequence[Count]]
    events: Sequence[Event]


class AnswerCheck:
    """Checks the answers of one plug-in. The methods raise NonsenseError if an answer does not agree with what its
    class declares, and whatever `counts` of a result raises."""

    def __init__(self, plugin: AnyPlugin) -> None:
        """Raises PluginError if the class declares its counters or events wrongly."""
        self._gives = plugin.produces
        self._declarations = Declarations.of(type(plugin))

    def process(self, found: object, expected: int) -> list[Answer]:
        """Checks what `process` returned for `expected` frames."""
        if not isinstance(found, Sequence) or len(found) != expected:
            raise NonsenseError(f"process returned {_shape(found)}, expected one Results for each of {expected} frames")
        return [self._answer(item) for item in found]

    def predict(self, found: object) -> Results:
        """Checks what `predict` returned."""
        results = self._results("predict", found)
        if Events in results:
            raise NonsenseError("predict returned Events: only process may, for the frame on which they happen")
        return results

    def _answer(self, found: object) -> Answer:
        results = self._results("process", found)
        try:
            return Answer(results, self._declarations.counts(results), self._declarations.events(results))
        except UndeclaredError as error:
            raise NonsenseError(str(error)) from None

    def _results(self, phase: str, found: object) -> Results:
        if not isinstance(found, Results):
            raise NonsenseError(f"{phase} returned {type(found).__name__}, expected Results")
        undeclared = [type(part).__name__ for part in found if type(part) not in self._gives]
        if undeclared:
            raise NonsenseError(f"{phase} returned {', '.join(undeclared)}, which `produces` does not declare")
        return found


def _shape(found: object) -> str:
    return f"{len(found)} results" if isinstance(found, Sequence) else type(found).__name__
