"""Upgrades a journal of format 1 in place, in steps: events are written and read in between, and nothing is lost if
the process is killed."""

from __future__ import annotations

import json
import logging
import sqlite3
import time

from sightd.daemon.events.event import COMMON_FACTS, common
from sightd.daemon.events.query import INDEXES, UPGRADE

log = logging.getLogger(__name__)

_AT_ONCE = 2000
"""Events of one step."""
_OLD_INDEX = "events_by_time"
_FILL = f"UPDATE events SET {', '.join(f'{name} = ?' for name in COMMON_FACTS)} WHERE id = ?"


class Upgrade:
    """The rest of an upgrade, whose columns exist already: fills those of the common facts from the newest event to the
    oldest, then creates the indexes. The file remembers how far it is. Used by the thread that writes the journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Within a transaction: prepares the upgrade if anything is left to do. Raises sqlite3.Error."""
        self._run = connection.execute
        self._many = connection.executemany
        self._began_at = time.monotonic()
        names = self._names()
        if UPGRADE not in names and not INDEXES.keys() <= names:
            self._run(f"CREATE TABLE {UPGRADE} (next_id INTEGER NOT NULL)")
            self._run(f"INSERT INTO {UPGRADE} SELECT coalesce(max(id), 0) FROM events")
        self.pending = UPGRADE in self._names()
        if self.pending and (rest := self._next()):
            log.info("the journal is being upgraded in the background: about %d events", rest)

    def step(self) -> None:
        """Does one more step, in the caller's transaction. Raises sqlite3.Error."""
        missing = [name for name in INDEXES if name not in self._names()]
        if highest := self._next():
            self._fill(highest)
        elif missing:
            self._run(f"CREATE INDEX {missing[0]} ON events {INDEXES[missing[0]]}")
        else:
            self._run(f"DROP INDEX IF EXISTS {_OLD_INDEX}")
            self._run(f"DROP TABLE {UPGRADE}")

    def stepped(self) -> None:
        """Notes that the caller's transaction is committed."""
        self.pending = UPGRADE in self._names()
        if not self.pending and (seconds := time.monotonic() - self._began_at) > 1:
            log.info("the journal was upgraded in %.0f s", seconds)

    def _fill(self, highest: int) -> None:
        query = "SELECT id, facts FROM events WHERE id <= ? ORDER BY id DESC LIMIT ?"
        rows = self._run(query, (highest, _AT_ONCE)).fetchall()
        found = [(*common(json.loads(facts)).values(), number) for number, facts in rows]
        self._many(_FILL, [values for values in found if any(value is not None for value in values[:-1])])
        self._run(f"UPDATE {UPGRADE} SET next_id = ?", (rows[-1][0] - 1 if rows else 0,))

    def _next(self) -> int:
        return int(self._run(f"SELECT next_id FROM {UPGRADE}").fetchone()[0])

    def _names(self) -> set[str]:
        return {name for (name,) in self._run("SELECT name FROM sqlite_master")}
