"""Records the network and file system activity of a process and its children with strace."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.support.debian import program
from tests.support.waiting import eventually

_DNS_PORT = 53
_CALLS = (
    "connect,sendto,sendmsg,sendmmsg,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,"
    "unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,truncate,chmod,fchmodat"
)
_SENT_TO = re.compile(
    r"sa_family=AF_INET6?, sin6?_port=htons\((?P<port>\d+)\).*?"
    r"(?:inet_addr\(|inet_pton\(AF_INET6, )\"(?P<host>[^\"]+)\""
)
_OPENED = re.compile(r"(?:open|openat|openat2|creat)\(.*?(?:O_WRONLY|O_RDWR|O_CREAT).*\) = \d+<(?P<path>[^>]*)>")
_CHANGED = re.compile(
    r"(?:mkdir|mkdirat|rename|renameat|renameat2|unlink|unlinkat|rmdir|link|linkat|symlink|symlinkat|truncate|chmod|"
    r"fchmodat)\((?:(?:AT_FDCWD|\d+)(?:<(?P<folder>[^>]*)>)?, )?\"(?P<path>[^\"]*)\".* = 0$"
)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording. `command` is the prefix that records a program with all its threads and children. `folder` must be
    empty; relative paths are taken to be below `work`."""

    folder: Path
    work: Path

    def command(self) -> Sequence[str]:
        """Returns the strace command to put before the program, which stays the direct child, so signals reach it."""
        strace = program("strace", "strace")
        trace = self.folder / "trace"
        return [strace, "-D", "-f", "-ff", "--seccomp-bpf", "-qq", "-y", "-e", f"trace={_CALLS}", "-o", str(trace)]

    def wait(self, pid: int) -> None:
        """Waits until the record of the program `pid`, which has ended, is complete."""
        trace = self.folder / f"trace.{pid}"
        eventually(lambda: self._tracer_is_gone(), 30, f"strace still writes {trace}")

    def addresses(self) -> set[str]:
        """Returns HOST:PORT of every destination outside this machine, and of every name server."""
        found = set()
        for line in self._lines():
            for match in _SENT_TO.finditer(line):
                host, port = match["host"], int(match["port"])
                if port == _DNS_PORT or not (ip_address(host).is_loopback or ip_address(host).is_unspecified):
                    found.add(f"{host}:{port}")
        return found

    def changed(self) -> set[Path]:
        """Returns all files opened for writing, and all paths that were created, renamed, changed or removed."""
        return {Path(os.path.normpath(path)) for path in self._paths()}

    def _paths(self) -> Iterator[str]:
        for line in self._lines():
            if match := _OPENED.match(line):
                yield match["path"]
            elif match := _CHANGED.match(line):
                yield str(Path(match["folder"] or self.work, match["path"]))

    def _lines(self) -> Iterator[str]:
        traces = sorted(self.folder.glob("trace.*"))
        assert traces, "nothing was recorded"
        for trace in traces:
            with trace.open(encoding="utf-8", errors="replace") as lines:
                yield from lines

    def _tracer_is_gone(self) -> bool:
        trace = os.fsencode(self.folder / "trace")
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if trace in command.read_bytes().split(b"\0"):
                    return False
            except OSError:  # the process has ended
                continue
        return True
