"""Versions of the configuration file, kept in the state directory so that a change can be undone."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sightd.daemon.config.yaml import MAX_BYTES
from sightd.engines.files import make_private, read_regular, write_private

log = logging.getLogger(__name__)

MOST_VERSIONS = 50
MOST_BYTES = 16 << 20
"""Of all versions together."""
_LONGEST_HEADER = 4096
_LONGEST_CHANGES = 1000
_MOST_READ = MAX_BYTES + _LONGEST_HEADER


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the file. `time` is when it was stored, in seconds since the epoch; `who` is the principal that
    wrote it, None if it was found in the file; `changes` says in one line what it changed, without values."""

    id: int
    time: float
    who: str | None
    changes: str


class ConfigHistory:
    """The newest MOST_VERSIONS versions, in files that only this user can read, because they contain secrets.
    Thread-safe. Methods raise OSError if the disk fails."""

    def __init__(self, folder: Path) -> None:
        """Creates nothing before the first version is added."""
        self._folder = folder
        self._lock = threading.Lock()

    def versions(self) -> list[Version]:
        """Returns all versions, the newest first. Unreadable ones are left out."""
        return [found for path in self._paths() if (found := _header(path)) is not None]

    def text(self, number: int) -> str:
        """Returns the text of a version. Raises KeyError if there is none."""
        try:
            content = read_regular(self._path(number), _MOST_READ)
        except FileNotFoundError:
            raise KeyError(number) from None
        return content.partition(b"\n")[2].decode()

    def add(self, text: str, time: float, who: str | None, changes: str) -> Version:
        """Stores a version, unless it is the newest one already, and deletes the oldest beyond the limits."""
        with self._lock:
            newest = next(iter(self._paths()), None)
            if newest is not None and (known := _header(newest)) is not None and self._is(known.id, text):
                return known
            version = Version(1 if newest is None else int(newest.stem) + 1, time, who, changes[:_LONGEST_CHANGES])
            make_private(self._folder)
            header = json.dumps(asdict(version)).encode()
            write_private(self._path(version.id), header + b"\n" + text.encode(), ".version-")
            self._delete_oldest()
            return version

    def _is(self, number: int, text: str) -> bool:
        with suppress(OSError, ValueError, KeyError):
            return self.text(number) == text
        return False

    def _delete_oldest(self) -> None:
        left = MOST_BYTES
        for count, path in enumerate(list(self._paths())):
            left -= path.stat().st_size
            if count and (count >= MOST_VERSIONS or left < 0):
                path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.version"

    def _paths(self) -> Iterator[Path]:
        """Yields the files of the versions, the newest first."""
        yield from sorted(self._folder.glob("[0-9]*.version"), reverse=True)


def _header(path: Path) -> Version | None:
    try:
        with path.open("rb") as file:
            return Version(**json.loads(file.readline(_LONGEST_HEADER)))
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s cannot be read and is left out: %s", path, error)
        return None
