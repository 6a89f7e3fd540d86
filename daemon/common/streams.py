"""A command's standard streams, which may be closed, full, not UTF-8, or read by a program that has ended."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

_STDIN, _STDOUT, _STDERR = range(3)


class OutputError(Exception):
    """Standard output cannot be written. Not an OSError, so commands do not mistake it for an error of their own
    files."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror}")
        self.reader_left = error.errno == errno.EPIPE
        """Whether the reader just stopped reading, as in `sightd models list | head -1`, which is not an error."""


class _Stdout(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error) from error


class _Stderr(io.FileIO):
    """Ignores write errors: there is nowhere to report them, and the exit code still tells how the command ended."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Makes the three streams usable, whatever state they are in. Call it before anything opens a file: a file that
    gets the descriptor of a closed stream would receive our output."""
    _occupy(_STDIN, os.O_RDONLY)
    _occupy(_STDOUT, os.O_RDONLY)  # read-only, so writing fails: output cannot be delivered
    _occupy(_STDERR, os.O_WRONLY)
    encodings = [getattr(stream, "encoding", None) or "utf-8" for stream in (sys.stdout, sys.stderr)]
    if sys.stdin is None:
        sys.stdin = open(_STDIN, closefd=False)  # noqa: SIM115 — stays open for the life of the process
    sys.stdout = _text(_Stdout(_STDOUT, "wb", closefd=False), encodings[0])
    sys.stderr = _text(_Stderr(_STDERR, "wb", closefd=False), encodings[1], line_buffering=True)


def finish() -> None:
    """Flushes the buffers. Raises OutputError if standard output cannot be written."""
    sys.stderr.flush()
    sys.stdout.flush()


def discard_output() -> None:
    """Discards buffered and later output, so that the interpreter does not try to flush it on exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, _STDOUT)
    os.close(null)


def _occupy(number: int, flags: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, flags)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        else:
            os.set_inheritable(number, True)


def _text(raw: io.FileIO, encoding: str, *, line_buffering: bool = False) -> io.TextIOWrapper:
    """Wraps the stream and escapes characters the encoding lacks: names of files and people may contain anything."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=line_buffering or raw.isatty(),
    )
