"""Reports as events when the class of a frame or an object changes, without flicker.

Another class is reported once it has been the most likely one for a while, with `min_score` at least, and by `LEAD`
more likely than the class reported last. If nothing is likely enough, the class reported last remains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sightd.plugins.api import MAX_EVENTS, Event, EventSpec, FloatArray, JsonValue, label_of

CHANGED = "classification.changed"
SPEC = EventSpec(
    CHANGED,
    "The class of the frame, or of a tracked object, has become another one.",
    by_rule=True,
    facts=("class", "before", "score", "track"),
)
LEAD = 0.1
"""How much more likely than the reported class another one must be."""


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """The least score of a class, and for how long (s) it must be the most likely one."""

    min_score: float
    change_after: float


@dataclass(frozen=True, slots=True)
class ReportedClass:
    """The class reported of one subject, and the one that may replace it, since when (captured_at, s). -1 is none."""

    class_id: int = -1
    candidate: int = -1
    since: float = 0.0

    def after(self, scores: FloatArray, at: float, rules: ChangeRules) -> ReportedClass:
        """Returns the state after a frame at `at` (s) with these scores float32 [classes]."""
        top = int(scores.argmax())
        score, known = float(scores[top]), self.class_id
        leads = top != known and (known < 0 or score - float(scores[known]) >= LEAD)
        if not leads or score < rules.min_score:
            return ReportedClass(known)
        if top != self.candidate or at < self.since:
            return ReportedClass(known, top, at) if rules.change_after > 0 else ReportedClass(top)
        return ReportedClass(top) if at - self.since >= rules.change_after else self


ReportedClasses = Mapping[int, ReportedClass]
"""By the key of the subject (`subjects`)."""


def changes(
    before: ReportedClasses,
    scores: Mapping[int, FloatArray],
    labels: tuple[str, ...],
    at: float,
    rules: ChangeRules,
) -> tuple[ReportedClasses, tuple[Event, ...]]:
    """Returns the reported classes after a frame at `at` (s), and its events. `scores` are those of the subjects that
    were classified on it, float32 [classes]; what a frame has no room for is reported on a later one."""
    reported, events = dict(before), list[Event]()
    for key, found in scores.items():
        known = before.get(key, ReportedClass())
        after = known.after(found, at, rules)
        if after.class_id != known.class_id:
            if len(events) == MAX_EVENTS:
                continue
            events.append(_event(key, known.class_id, after.class_id, found, labels))
        reported[key] = after
    return reported, tuple(events)


def _event(key: int, before: int, now: int, scores: FloatArray, labels: tuple[str, ...]) -> Event:
    facts: dict[str, JsonValue] = {
        "class": label_of(labels, now),
        "before": None if before < 0 else label_of(labels, before),
        "score": round(float(scores[now]), 3),
    }
    return Event(CHANGED, facts if key < 0 else {**facts, "track": key})
