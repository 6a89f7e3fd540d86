"""Measures the event journal with a million events: `python -m bench.events store`."""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.journal_reader import JournalReader
from sightd.daemon.events.query import Filter
from sightd.daemon.events.statistics import By, Grouping, Period, statistics
from sightd.daemon.events.store import EventStore
from sightd.plugins.api import Phase

DAYS = 30
_END = 1_772_366_400.0
"""When the newest event is, in seconds since the epoch."""
_BATCH = 200
_REPEATED = 5
_FORMAT_1 = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, at REAL NOT NULL, camera TEXT, plugin TEXT, facts TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (at);
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement; `target` is the most that it may be, or the least if `least`."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def met(self) -> bool:
        return self.target is None or self.value <= self.target


def events(count: int, seed: int = 1) -> Iterator[PendingEvent]:
    """Yields events of 8 cameras in 30 days, as zones, the tracker, the face plug-in and the daemon report them."""
    draw = random.Random(seed)
    kinds = ("zone.entered", "zone.left", "line.crossed", "object.new", "face.recognised", "camera.late", "camera.down")
    weights = (35, 35, 15, 10, 4, 0.95, 0.05)
    for number in range(count):
        at = _END - DAYS * 86400 * (1 - number / count)
        [kind] = draw.choices(kinds, weights)
        camera = f"camera-{draw.randrange(8)}"
        if kind.startswith("camera"):
            yield PendingEvent(
                kind, at, camera, None, {"reason": "timeout", "last_picture": "2026-03-01T12:00:00.000Z"}
            )
            continue
        facts: dict[str, object] = {"class": draw.choice(("person", "car", "bicycle", "dog")), "track": number // 3}
        facts |= {"score": round(draw.random(), 3), "seconds": round(10 * draw.random(), 1)}
        if kind.startswith("zone"):
            facts["zone"] = f"zone-{draw.randrange(6)}"
        elif kind == "line.crossed":
            facts |= {"line": f"line-{draw.randrange(4)}", "direction": "in"}
        if draw.random() < 0.1:
            facts["person"] = f"Person {draw.randrange(50)}"
        yield PendingEvent(
            kind, at, camera, "zones", facts, phase=Phase.BEGAN if kind == "zone.entered" else Phase.ONCE
        )


def filled(path: Path, count: int) -> list[Figure]:
    """Writes a journal as the daemon does, in durable batches, and returns what it cost."""
    longest, began = 0.0, time.perf_counter()
    waiting = list(events(count))
    with closing(EventStore(path)) as store, ProgressBar(unit="events") as progress:
        began = time.perf_counter()
        for start in range(0, count, _BATCH):
            before = time.perf_counter()
            store.append(waiting[start : start + _BATCH], count)
            longest = max(longest, time.perf_counter() - before)
            progress("writing", start, count)
        seconds = time.perf_counter() - began
    return [
        Figure("write rate, batches of 200, each durable", count / seconds, "events/s"),
        Figure("longest batch", 1000 * longest, "ms"),
        Figure("size", path.stat().st_size / count, "bytes/event"),
    ]


def asked(path: Path, count: int) -> list[Figure]:
    """Returns how long each query takes: the fastest of several, with the file in the page cache."""
    reader = JournalReader(path, budget=60.0)
    day, hour = _END - 86400, _END - 3600
    filters = {
        "no filter": Filter(),
        "camera": Filter(camera="camera-3"),
        "frequent kind": Filter(kinds=("zone.entered",)),
        "rare kind": Filter(kinds=("camera.down",)),
        "kinds, pattern": Filter(kinds=("zone.*",)),
        "zone": Filter(zone="zone-2"),
        "line": Filter(line="line-2"),
        "class": Filter(object_class="dog"),
        "track": Filter(track=count // 9),
        "person": Filter(person="Person 7"),
        "phase": Filter(phase=Phase.BEGAN),
        "last hour": Filter(since=hour),
        "first day": Filter(until=_END - (DAYS - 1) * 86400),
        "zone, kind and camera": Filter(zone="zone-2", kinds=("zone.left",), camera="camera-3"),
        "rare kind and camera": Filter(kinds=("camera.down",), camera="camera-3"),
        "person in the last day": Filter(person="Person 7", since=day),
        "text": Filter(text="Person 7"),
    }
    figures = [
        Figure(f"newest page of 50: {name}", _fastest(partial(reader.latest, 50, one)), "ms", 20.0)
        for name, one in filters.items()
    ]
    rare = Filter(zone="zone-2", line="line-1")
    figures += [
        Figure("newest page of 50: zone and line that never meet", _fastest(lambda: reader.latest(50, rare), 1), "ms"),
        Figure("text that occurs nowhere", _fastest(lambda: reader.latest(50, Filter(text="nowhere")), 1), "ms"),
        Figure("next page of 500 after an id", _fastest(lambda: reader.after(count // 2, 500)), "ms", 20.0),
    ]
    all_days = _END - DAYS * 86400
    groupings = {
        "a day per hour": (day, Grouping(Period.HOUR), 200.0),
        "a day per hour, by zone": (day, Grouping(Period.HOUR, (By.ZONE,)), 200.0),
        "a day per hour, by kind and class": (day, Grouping(Period.HOUR, (By.KIND, By.CLASS)), 200.0),
        "a day by person": (day, Grouping(None, (By.PERSON,)), 200.0),
        "30 days per day": (all_days, Grouping(Period.DAY), None),
        "30 days per day, by line": (all_days, Grouping(Period.DAY, (By.LINE,)), None),
    }
    for name, (since, grouping, target) in groupings.items():
        took = _fastest(partial(statistics, reader, Filter(since=since), grouping, _END))
        figures.append(Figure(f"count: {name}", took, "ms", target))
    return figures


def upgraded(path: Path, count: int) -> list[Figure]:
    """Returns what it costs to upgrade a file of format 1."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_FORMAT_1)
        rows = ((one.kind, one.at, one.camera, one.plugin, json.dumps(dict(one.facts))) for one in events(count))
        connection.executemany("INSERT INTO events (kind, at, camera, plugin, facts) VALUES (?, ?, ?, ?, ?)", rows)
        connection.commit()
    size = path.stat().st_size
    memory = _peak()
    began = time.perf_counter()
    longest = 0.0
    with closing(EventStore(path)) as store:
        opening = time.perf_counter() - began
        while store.upgrading:
            before = time.perf_counter()
            store.upgrade()
            longest = max(longest, time.perf_counter() - before)
        seconds = time.perf_counter() - began
    return [
        Figure("upgrade: until events are written", 1000 * opening, "ms"),
        Figure("upgrade: all steps, without the pauses", seconds, "s"),
        Figure("upgrade: longest step", longest, "s"),
        Figure("upgrade: size before", size / count, "bytes/event"),
        Figure("upgrade: size after", path.stat().st_size / count, "bytes/event"),
        Figure(
            "upgrade: more memory at its peak",
            (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024,
            "MiB",
        ),
    ]


def _peak() -> int:
    """Returns the most memory that this process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _fastest(query: Callable[[], object], repeated: int = _REPEATED) -> float:
    times = []
    for _ in range(repeated):
        began = time.perf_counter()
        query()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def measure(count: int, folder: Path | None) -> list[Figure]:
    """Writes journals of `count` events to a new folder in `folder` (None: for temporary files)."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        old, new = Path(place) / "old.db", Path(place) / "new.db"
        return upgraded(old, count) + filled(new, count) + asked(new, count)


def show(figures: list[Figure]) -> None:
    """Prints the figures."""
    for one in figures:
        target = "" if one.target is None else f"  target {one.target:g}: {'met' if one.met else 'MISSED'}"
        print(f"{one.name:<60} {one.value:>10.1f} {one.unit}{target}")


def as_json(figures: list[Figure]) -> list[dict[str, object]]:
    return [asdict(one) | {"met": one.met} for one in figures]
