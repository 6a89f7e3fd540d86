"""A transfer may take a time that follows from its size, and no longer."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sightd.engines.errors import EngineError
from sightd.engines.models import mirror, pace
from sightd.engines.models.pace import GRACE, LEAST_RATE, Pace, PacedReader


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_at_the_least_rate_a_transfer_goes_on_and_below_it_ends() -> None:
    clock = Clock()
    limit = Pace(1 << 30, clock)
    for second in range(1, 1000):
        clock.now += 1
        limit.advance(second * LEAST_RATE)
    clock.now += GRACE
    limit.require()
    clock.now += 1
    with pytest.raises(EngineError, match="too slow: 32,735,232 bytes in 1120 s, at least 32,768 bytes/s"):
        limit.require()


def test_more_bytes_than_the_size_buy_no_more_time() -> None:
    clock = Clock()
    limit = Pace(LEAST_RATE, clock)
    clock.now += GRACE + 2
    with pytest.raises(EngineError, match="too slow"):
        limit.advance(100 * LEAST_RATE)


def test_what_has_arrived_is_never_refused() -> None:
    """The time is checked before more is awaited, so a complete transfer is complete."""
    clock = Clock()

    class Slow(io.BytesIO):
        def readinto(self, buffer: object, /) -> int:
            clock.now += 10 * GRACE
            return super().readinto(buffer)  # type: ignore[arg-type]

    reader = PacedReader(Slow(b"all"), Pace(3, clock))
    assert reader.read(3) == b"all"
    with pytest.raises(EngineError, match="too slow"):
        reader.read(1)


def test_a_slow_mirror_folder_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.onnx").write_bytes(bytes(1000))
    assert mirror.take(tmp_path, "net.onnx", "", tmp_path / "copy", limit=1000).size == 1000
    monkeypatch.setattr(pace, "GRACE", -1.0)
    with pytest.raises(EngineError, match="too slow"):
        mirror.take(tmp_path, "net.onnx", "", tmp_path / "copy", limit=1000)
