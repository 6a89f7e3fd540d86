"""What was answered before: of each camera's picture, or of each of its tracks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sightd.plugins.classifier.scores import averaged
from sightd.plugins.types import FloatArray

PICTURE = -1
"""Key of the whole picture; tracks have their numbers."""
_OUTAGE = 5.0
"""Seconds after which an answer is about something else, and is forgotten."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """About one thing: scores float32 [classes] averaged over time, and when it was looked at last (s)."""

    scores: FloatArray
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Of one camera whose pictures are of `size` (width, height), at `at` (s), `pause` s after the look before. Never
    changed, only replaced."""

    size: tuple[int, int]
    at: float
    answers: Mapping[int, Answer]
    pause: float = 0.0

    @classmethod
    def new(cls, size: tuple[int, int]) -> Memory:
        return cls(size, float("-inf"), {})

    def fits(self, size: tuple[int, int], at: float) -> bool:
        """Whether a picture of that size and time belongs to the same run of pictures; one may come somewhat late."""
        return self.size == size and at >= self.at - _OUTAGE

    def in_turn(self, keys: Iterable[int]) -> list[int]:
        """Those that were never looked at first, then the one that was not for the longest time."""
        return sorted(keys, key=lambda key: self.answers[key].at if key in self.answers else float("-inf"))

    def told(self, new: Mapping[int, FloatArray], at: float, constant: float) -> Memory:
        """With the answers of a frame at `at`, scores float32 [classes] by key, averaged over `constant` seconds; what
        was not looked at for 5 s, or three pauses where these are longer, is forgotten."""
        outage = max(_OUTAGE, 3 * self.pause)
        after = {key: answer for key, answer in self.answers.items() if at - answer.at <= outage}
        for key, scores in new.items():
            before = after.get(key)
            mean = scores if before is None else averaged(before.scores, scores, at - before.at, constant)
            after[key] = Answer(mean, at if before is None else max(at, before.at))
        pause = at - self.at if 0 < at - self.at < float("inf") else self.pause
        return Memory(self.size, max(at, self.at), after, pause)
