"""A small separate file system, to be filled or made read-only; needs root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType

import pytest


class SmallDisk:
    """Mounts a tmpfs on `path`; a context manager. Skips the test, with the reason, if it cannot be mounted."""

    def __init__(self, path: Path, mebibytes: int = 4) -> None:
        self.path, self._size = path, mebibytes
        path.mkdir()

    def fill(self) -> None:
        """Fills the disk to the last byte."""
        with (self.path / "filler").open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def empty(self) -> None:
        (self.path / "filler").unlink()

    def read_only(self, on: bool) -> None:
        """Remounts read-only or writable. Works only while no file is open for writing."""
        _run("mount", "-o", f"remount,{'ro' if on else 'rw'}", str(self.path))

    def __enter__(self) -> SmallDisk:
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small disk")
        try:
            _run("mount", "-t", "tmpfs", "-o", f"size={self._size}m", "tmpfs", str(self.path))
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"cannot mount a small disk: {error}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", "-l", str(self.path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
