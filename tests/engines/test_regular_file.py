"""Only regular files are opened, without blocking, and only a limited amount is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sightd.engines.files import open_regular, read_regular, require_regular, write_whole
from tests.support.small_disk import SmallDisk


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def linked_fifo(path: Path) -> Path:
    path.symlink_to(fifo(path.with_name("pipe")))
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (fifo, "a named pipe"),
        (linked_fifo, "a named pipe"),
        (folder, "a directory"),
        (lambda _: Path("/dev/zero"), "a character device"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(make: Callable[[Path], Path], kind: str, tmp_path: Path) -> None:
    path = make(tmp_path / "it")
    for read in (open_regular, require_regular, lambda path: read_regular(path, 10)):
        with pytest.raises(OSError, match=f"{kind}, not a regular file"):
            read(path)


def test_files_and_links_to_them_are_read_up_to_the_limit(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"x" * 2048)
    link.symlink_to(path)
    assert read_regular(link, 2048) == b"x" * 2048
    with pytest.raises(OSError, match="larger than 1 KiB"):
        read_regular(path, 1024)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 1)


def test_files_of_the_kernel_without_a_size_are_bounded_too() -> None:
    assert Path("/proc/kallsyms").stat().st_size == 0
    with pytest.raises(OSError, match="larger than 4 KiB"):
        read_regular(Path("/proc/kallsyms"), 4096)


def test_a_file_is_written_and_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"long before")
    write_whole(path, b"now")
    assert path.read_bytes() == b"now"


def test_a_link_and_the_mode_of_the_file_are_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"before")
    path.chmod(0o640)
    link.symlink_to(path)
    write_whole(link, b"now")
    assert link.is_symlink()
    assert path.read_bytes() == b"now"
    assert path.stat().st_mode & 0o777 == 0o640
    assert {one.name for one in tmp_path.iterdir()} == {"a", "b"}


def test_a_file_that_cannot_be_replaced_on_a_full_disk_is_unchanged(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 1) as disk:
        path = disk.path / "a"
        path.write_bytes(b"before")
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, bytes(1 << 20))
        assert path.read_bytes() == b"before"
        assert {one.name for one in disk.path.iterdir()} == {"a", "filler"}


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
