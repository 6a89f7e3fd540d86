"""The cache of built engines: built once, verified, and either the right one or none."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from sightd.engines.errors import EngineError
from sightd.engines.files import locked
from sightd.engines.sessions.tensorrt.cache import EngineCache, EngineIdentity
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[4]
IDENTITY = EngineIdentity(
    model="yolox-nano", model_sha256="a" * 64, runtime="TensorRT 11.4.0.106", gpu="NVIDIA A10",
    compute_capability="8.6", precision="fp16", profile="1:4:16", builder=1,
)  # fmt: skip
OTHERS = [
    replace(IDENTITY, model_sha256="b" * 64),
    replace(IDENTITY, runtime="TensorRT 10.16.1.11"),
    replace(IDENTITY, gpu="NVIDIA L4"),
    replace(IDENTITY, compute_capability="8.9"),
    replace(IDENTITY, precision="fp32"),
    replace(IDENTITY, profile="1:1:1"),
    replace(IDENTITY, builder=2),
]


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def built(cache: EngineCache, identity: EngineIdentity = IDENTITY, content: bytes = b"engine") -> bytes:
    def build(plan: Path) -> None:
        plan.write_bytes(content)

    return cache.provide(identity, build, lambda plan: {"least IoU": 0.998})


def never(plan: Path) -> None:
    raise AssertionError("built although it was there")


def test_an_engine_is_built_once_and_read_ever_after(cache: EngineCache) -> None:
    assert built(cache) == b"engine"
    assert cache.provide(IDENTITY, never, lambda plan: {}) == b"engine"
    (entry,) = cache.entries()
    assert entry.note.identity == IDENTITY
    assert entry.note.measures == {"least IoU": 0.998}
    assert entry.note.sha256 == hashlib.sha256(b"engine").hexdigest()


@pytest.mark.parametrize("other", OTHERS)
def test_an_engine_of_anything_else_is_never_read(cache: EngineCache, other: EngineIdentity) -> None:
    built(cache, other)
    assert cache.read(IDENTITY) is None
    assert cache.read(other) == b"engine"


@pytest.mark.parametrize(
    ("other", "told"),
    list(
        zip(
            OTHERS,
            [
                "was built for a different model file",
                "was built for TensorRT 10.16.1.11 instead of TensorRT 11.4.0.106",
                "was built for NVIDIA L4 instead of NVIDIA A10",
                "was built for compute capability 8.9 instead of 8.6",
                "was built for fp32 instead of fp16",
                "was built for shapes 1:1:1 instead of 1:4:16",
                "was built for an earlier sightd version",
            ],
            strict=True,
        )
    ),
)
def test_the_reason_why_an_engine_is_not_used_is_reported(cache: EngineCache, other: EngineIdentity, told: str) -> None:
    built(cache, other)
    assert told in cache.problem(IDENTITY)


def test_a_missing_build_is_reported(cache: EngineCache) -> None:
    assert cache.problem(IDENTITY) == "no engine has been built yet"


def test_an_engine_under_the_name_of_another_is_not_read(cache: EngineCache) -> None:
    built(cache, OTHERS[0])
    for path in cache.directory.glob(f"{OTHERS[0].stem}.*"):
        path.rename(path.with_name(IDENTITY.stem + path.suffix))
    assert cache.read(IDENTITY) is None
    assert cache.problem(IDENTITY) == "the stored engine was built for something else"


@pytest.mark.parametrize("damage", [b"", b"engina", b"engine "])
def test_a_damaged_engine_is_not_read_and_built_again(cache: EngineCache, damage: bytes) -> None:
    built(cache)
    (cache.directory / f"{IDENTITY.stem}.engine").write_bytes(damage)
    assert cache.read(IDENTITY) is None
    assert "changed or damaged" in cache.problem(IDENTITY)
    assert built(cache, content=b"anew") == b"anew"


@pytest.mark.parametrize("note", ["", "{", "[]", '{"identity": {}}', "null"])
def test_an_engine_without_a_readable_note_is_not_read(cache: EngineCache, note: str) -> None:
    built(cache)
    (cache.directory / f"{IDENTITY.stem}.json").write_text(note)
    assert cache.read(IDENTITY) is None
    assert cache.problem(IDENTITY) == "the metadata of the engine is missing or unreadable"


def test_an_engine_that_fails_verification_is_not_kept(cache: EngineCache) -> None:
    def refuse(plan: bytes) -> dict[str, float]:
        raise EngineError("boxes differ")

    def build(plan: Path) -> None:
        plan.write_bytes(b"engine")

    with pytest.raises(EngineError, match="boxes differ"):
        cache.provide(IDENTITY, build, refuse)
    assert cache.read(IDENTITY) is None
    assert not [path for path in cache.directory.iterdir() if path.suffix != ".lock"]


def test_a_model_name_with_odd_characters_is_a_file_name(cache: EngineCache) -> None:
    odd = replace(IDENTITY, model="../../etc/my model")
    assert built(cache, odd) == b"engine"
    assert [entry.path.parent for entry in cache.entries()] == [cache.directory]


def aged(cache: EngineCache, count: int) -> list[EngineIdentity]:
    """Creates engines of 100 bytes, each used later than the one before."""
    made = [replace(IDENTITY, model=f"m{index}", model_sha256=f"{index}" * 64) for index in range(count)]
    for index, identity in enumerate(made):
        built(cache, identity, bytes(100))
        os.utime(cache.directory / f"{identity.stem}.engine", (1000 + index, 1000 + index))
    return made


def test_beyond_its_capacity_the_cache_forgets_what_was_used_longest_ago(cache: EngineCache) -> None:
    made = aged(cache, 4)
    cache.read(made[0])
    cache.prune(capacity=250)
    assert {entry.note.identity.model for entry in cache.entries()} == {"m0", "m3"}


def test_building_prunes_and_never_the_new_engine(tmp_path: Path) -> None:
    small = EngineCache(tmp_path / "engines", capacity=50)
    first, second = aged(small, 2)
    assert small.read(first) is None
    assert small.read(second) == bytes(100)


def test_pruning_removes_damaged_engines_and_leftovers(cache: EngineCache) -> None:
    made = aged(cache, 2)
    (cache.directory / f"{made[0].stem}.engine").write_bytes(b"")
    (cache.directory / ".gone-123.build").mkdir()
    assert len(cache.prune()) == 2
    assert [entry.note.identity.model for entry in cache.entries()] == ["m1"]
    assert not list(cache.directory.glob(".*.build"))


def test_a_build_does_not_read_the_other_engines_and_prunes_by_their_size(cache: EngineCache) -> None:
    made = aged(cache, 3)
    engines = [cache.directory / f"{one.stem}.engine" for one in made]
    engines[0].write_bytes(b"x" * 100)
    engines[1].write_bytes(b"cut short")
    built(cache)
    assert [path.exists() for path in engines] == [True, False, True], "content is verified when it is read"
    assert cache.read(made[0]) is None
    assert cache.prune() == [engines[0]]


def test_no_lock_files_are_left(cache: EngineCache) -> None:
    aged(cache, 2)
    (cache.directory / ".gone-123.lock").touch()
    with locked(cache.directory / ".held-123.lock", "a build"):
        cache.prune()
        assert [path.name for path in cache.directory.glob(".*.lock")] == [".held-123.lock"]
    cache.prune()
    assert not list(cache.directory.glob(".*.lock"))


def test_who_waited_for_a_lock_that_was_removed_takes_the_new_one(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    order: list[str] = []
    with locked(lock, "first"):
        waiting = threading.Thread(target=lambda: order.append(_taken(lock)))
        waiting.start()
        eventually(lambda: any("->" in line for line in _own_locks()))
        lock.unlink()
    waiting.join(10)
    assert order == ["current"]


def _taken(lock: Path) -> str:
    with locked(lock, "second"), lock.open("ab") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "current"
    return "of a removed file"


def _own_locks() -> list[str]:
    """The kernel's list of locks that this process holds or waits for."""
    return [line for line in Path("/proc/locks").read_text().splitlines() if f" {os.getpid()} " in line]


BUILDER = """
import json, os, sys, time
from pathlib import Path
from sightd.engines.sessions.tensorrt.cache import EngineCache, EngineIdentity
cache, log, gate = EngineCache(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
def build(plan):
    plan.write_bytes(b"half an eng")
    with log.open("a") as file: file.write(f"{os.getpid()}\\n")
    while not gate.exists(): time.sleep(0.005)
    plan.write_bytes(b"engine")
print(cache.provide(EngineIdentity(**json.loads(sys.argv[4])), build, lambda plan: {}).decode())
"""


class Builders:
    """Processes that need the same engine; a build runs until `gate` is opened."""

    def __init__(self, folder: Path) -> None:
        self.log, self.gate, self.directory = folder / "log", folder / "gate", folder / "engines"
        self.log.touch()
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        identity = json.dumps({name: getattr(IDENTITY, name) for name in IDENTITY.__dataclass_fields__})
        command = [sys.executable, "-c", BUILDER, str(self.directory), str(self.log), str(self.gate), identity]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return self.processes[-1]

    def builds(self) -> int:
        return len(self.log.read_text().splitlines())


@pytest.fixture
def builders(tmp_path: Path) -> Builders:
    return Builders(tmp_path)


def waits_for_a_lock(process: subprocess.Popen[str]) -> bool:
    """Whether the kernel lists the process as waiting for a file lock."""
    return any("->" in line and f" {process.pid} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_two_processes_that_start_together_build_once(builders: Builders) -> None:
    first = builders.start()
    eventually(lambda: builders.builds() == 1)
    second = builders.start()
    eventually(lambda: waits_for_a_lock(second))
    builders.gate.touch()
    assert [process.communicate(timeout=20)[0] for process in (first, second)] == ["engine\n", "engine\n"]
    assert builders.builds() == 1


def test_a_build_that_is_killed_leaves_nothing_that_is_read_and_the_next_builds(builders: Builders) -> None:
    first = builders.start()
    eventually(lambda: builders.builds() == 1)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=20)
    cache = EngineCache(builders.directory)
    assert list(cache.directory.glob(".*.build/plan"))
    assert cache.read(IDENTITY) is None
    assert cache.entries() == []
    assert built(cache) == b"engine"
    assert not list(cache.directory.glob(".*.build"))


def test_pruning_lets_a_build_under_way_alone(builders: Builders) -> None:
    first = builders.start()
    eventually(lambda: builders.builds() == 1)
    assert EngineCache(builders.directory).prune(capacity=0) == []
    builders.gate.touch()
    assert first.communicate(timeout=20)[0] == "engine\n"


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot be stored in"):
        built(EngineCache(tmp_path / "file" / "engines"))
