"""Files are written whole, or not left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.regular import write_whole
from tests.support.small_disk import SmallDisk


def test_a_file_is_written_and_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"long before")
    write_whole(path, b"now")
    assert path.read_bytes() == b"now"


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_nothing_is_left_on_a_full_disk(tmp_path: Path, size: int) -> None:
    with SmallDisk(tmp_path / "disk", 1) as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            write_whole(disk.path / "a", bytes(size))
        assert [path.name for path in disk.path.iterdir()] == ["filler"]


def test_a_device_is_not_removed() -> None:
    with pytest.raises(OSError, match="No space left"):
        write_whole(Path("/dev/full"), b"much")
    assert Path("/dev/full").exists()
