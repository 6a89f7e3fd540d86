"""Cache of built engines: each is built once, verified before it is stored, and identified by all that it depends on.

An engine is a file `MODEL-KEY.engine` with metadata in `MODEL-KEY.json`. The metadata is written last, and an engine
without metadata is never read. A build works in its own folder; if it is killed, the next build or prune removes that
folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sightd.engines.files import cache_directory, is_current, locked

logger = logging.getLogger(__name__)

CAPACITY = 8 << 30
_KEY_LENGTH = 20

Build = Callable[[Path], None]
"""Writes an engine to the given path, which is in a scratch folder of its own. Raises if it cannot."""
Verify = Callable[[bytes], Mapping[str, float]]
"""Returns measurements of how closely a new engine matches the reference. Raises if it does not match."""


def engines_directory(environ: Mapping[str, str]) -> Path:
    """Returns the folder `engines` in sightd's cache."""
    return cache_directory(environ) / "engines"


@dataclass(frozen=True, slots=True)
class EngineIdentity:
    """Everything that an engine depends on. Two engines are the same only if all fields except `model` are equal."""

    model: str
    """Used in messages; two models with the same content share an engine."""
    model_sha256: str
    runtime: str
    """For example "TensorRT 11.4.0.106"."""
    gpu: str
    compute_capability: str
    """For example "8.6"."""
    precision: str
    profile: str
    builder: int

    @property
    def key(self) -> str:
        told = {name: value for name, value in asdict(self).items() if name != "model"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:_KEY_LENGTH]

    @property
    def stem(self) -> str:
        """File name without extension."""
        return f"{''.join(c if c.isalnum() or c in '._-' else '_' for c in self.model)}-{self.key}"


_DIFFERENCES = {
    "model_sha256": "a different model file",
    "runtime": "{0} instead of {1}",
    "gpu": "{0} instead of {1}",
    "compute_capability": "compute capability {0} instead of {1}",
    "precision": "{0} instead of {1}",
    "profile": "shapes {0} instead of {1}",
    "builder": "an earlier sightd version",
}


@dataclass(frozen=True, slots=True)
class EngineMetadata:
    """Metadata stored next to an engine. `measures` are the measurements with which it passed verification."""

    identity: EngineIdentity
    sha256: str
    size: int
    built_at: str
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored engine; `used_at` is in seconds since 1970."""

    path: Path
    note: EngineMetadata
    used_at: float


@dataclass(frozen=True, slots=True)
class EngineCache:
    """Engines in `directory`, which is created on first use. Keeps the most recently used ones, up to `capacity` bytes.
    Safe to use from any thread or process."""

    directory: Path
    capacity: int = CAPACITY

    def provide(self, identity: EngineIdentity, build: Build, verify: Verify) -> bytes:
        """Returns the engine's content; builds and verifies it first if it is not stored. Only one process builds it.

        Exceptions of `build` and `verify` propagate, and nothing is stored. Raises EngineError if the engine cannot be
        stored.
        """
        if found := self.read(identity):
            return found
        with locked(self._lock(identity.stem), f"{identity.model}: its engine"):
            if found := self.read(identity):
                return found
            logger.info("%s: %s; building the engine, which takes minutes", identity.model, self.problem(identity))
            with self._scratch(identity.stem) as scratch:
                plan = scratch / "plan"
                build(plan)
                content = plan.read_bytes()
                self._keep(identity, content, verify(content), scratch)
        self.prune(keep=identity.stem, hashing=False)
        return content

    def read(self, identity: EngineIdentity) -> bytes | None:
        """Returns the exact bytes that were verified and marks the engine as used, or returns None; `problem` then says
        why."""
        path = self._engine(identity.stem)
        note = _read_metadata(path)
        if note is None or note.identity.key != identity.key:
            return None
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == note.sha256 else None

    def problem(self, identity: EngineIdentity) -> str:
        """Returns why no engine of this identity can be read, and how the model's other stored engines differ
        from it."""
        path = self._engine(identity.stem)
        if path.exists():
            return self.damage(path) or "the stored engine was built for something else"
        others = [entry for entry in self.entries() if entry.note.identity.model == identity.model]
        if not others:
            return "no engine has been built yet"
        return "; ".join(
            f"{entry.path.name} was built for {_difference(entry.note.identity, identity)}" for entry in others
        )

    def damage(self, path: Path) -> str:
        """Returns what is wrong with a stored engine, or "" if nothing is."""
        note = _read_metadata(path)
        if note is None:
            return "the metadata of the engine is missing or unreadable"
        try:
            content = path.read_bytes()
        except OSError as error:
            return f"the engine cannot be read: {error.strerror}"
        return "" if hashlib.sha256(content).hexdigest() == note.sha256 else "the engine file was changed or damaged"

    def entries(self) -> list[Entry]:
        """Returns all engines that have metadata, most recently used first."""
        found = []
        for path in self.directory.glob("*.engine"):
            note = _read_metadata(path)
            with suppress(OSError):  # another process may have pruned it in the meantime
                if note is not None:
                    found.append(Entry(path, note, path.stat().st_mtime))
        return sorted(found, key=lambda entry: entry.used_at, reverse=True)

    def prune(self, *, capacity: int | None = None, keep: str = "", hashing: bool = True) -> list[Path]:
        """Removes unusable files, then the least recently used engines until the rest fits. Returns the removed paths.

        Never removes the engine whose stem is `keep`, nor files that another process is building. Without `hashing`,
        finds damaged engines by their metadata and size only, which does not read gigabytes.
        """
        removed = self._sweep(hashing=hashing)
        room = self.capacity if capacity is None else capacity
        for entry in self.entries():
            room -= entry.note.size
            if room < 0 and entry.path.stem != keep:
                removed.append(self._remove(entry.path))
        self._remove_locks()
        return removed

    def _keep(self, identity: EngineIdentity, content: bytes, measures: Mapping[str, float], scratch: Path) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        note = EngineMetadata(identity, hashlib.sha256(content).hexdigest(), len(content), now, dict(measures))
        told = scratch / "note"
        told.write_text(json.dumps(asdict(note), indent=2) + "\n", encoding="utf-8")
        for path in (scratch / "plan", told):
            _flush(path)
        target = self._engine(identity.stem)
        target.with_suffix(".json").unlink(missing_ok=True)
        (scratch / "plan").replace(target)
        told.replace(target.with_suffix(".json"))

    @contextmanager
    def _scratch(self, stem: str) -> Iterator[Path]:
        """Provides an empty folder for a build. The caller must hold the engine's lock."""
        folder = self.directory / f".{stem}.build"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self, *, hashing: bool) -> list[Path]:
        """Removes the remains of killed builds, and damaged engines."""
        left = [(path, path.name[1 : -len(".build")]) for path in self.directory.glob(".*.build")]
        is_broken = self.damage if hashing else _is_incomplete
        broken = [(path, path.stem) for path in self.directory.glob("*.engine") if is_broken(path)]
        removed = []
        for path, stem in left + broken:
            with self._alone(stem) as alone:
                if alone:
                    removed.append(self._remove(path))
        return removed

    @contextmanager
    def _alone(self, stem: str) -> Iterator[bool]:
        """Tries to take the engine's lock without waiting. Yields True if it is held for the block, False if a build
        holds it."""
        with self._lock(stem).open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield is_current(handle, self._lock(stem))

    def _remove_locks(self) -> None:
        """Removes the lock files that nobody holds. Others are removed by a later prune."""
        for path in self.directory.glob(".*.lock"):
            with suppress(OSError), self._alone(path.name[1 : -len(".lock")]) as alone:
                if alone:
                    path.unlink()

    def _remove(self, path: Path) -> Path:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
            return path
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        return path

    def _engine(self, stem: str) -> Path:
        return self.directory / f"{stem}.engine"

    def _lock(self, stem: str) -> Path:
        return self.directory / f".{stem}.lock"


def _is_incomplete(path: Path) -> bool:
    """Returns whether an engine has no readable metadata or another size than recorded."""
    note = _read_metadata(path)
    with suppress(OSError):
        return note is None or path.stat().st_size != note.size
    return False  # another process has just removed it


def _read_metadata(path: Path) -> EngineMetadata | None:
    try:
        told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return EngineMetadata(**{**told, "identity": EngineIdentity(**told["identity"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _difference(have: EngineIdentity, want: EngineIdentity) -> str:
    pairs = {name: (getattr(have, name), getattr(want, name)) for name in _DIFFERENCES}
    return ", ".join(_DIFFERENCES[name].format(*pair) for name, pair in pairs.items() if pair[0] != pair[1])


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
