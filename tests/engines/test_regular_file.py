"""Only regular files are opened, without waiting for anybody, and only so much of them is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.regular_file import open_regular, read_regular, require_regular


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
