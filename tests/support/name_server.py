"""A name that a process knows or does not, as a test wills: its resolver asks a file first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

NAME = "camera.test"
_SOURCE = """
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int (*Resolve)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

extern "C" int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    Resolve real = (Resolve)dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strcmp(node, "%(name)s") == 0) {
        if (access("%(unknown)s", F_OK) == 0)
            return EAI_NONAME;
        node = "127.0.0.1";
    }
    return real(node, service, hints, found);
}
"""


class NameServer:
    """For processes that get `environ`: `camera.test` is 127.0.0.1, until it is forgotten."""

    def __init__(self, folder: Path) -> None:
        """Compiles a library for LD_PRELOAD into the folder. RuntimeError where there is no g++."""
        compiler = shutil.which("g++")
        if compiler is None:
            raise RuntimeError("g++ is not on the PATH: `apt-get install g++`")
        self._unknown = folder / "unknown-name"
        source, library = folder / "resolver.cpp", folder / "resolver.so"
        source.write_text(_SOURCE % {"name": NAME, "unknown": self._unknown})
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(library), "-ldl"], check=True)
        self.environ = {"LD_PRELOAD": str(library)}

    def forget(self) -> None:
        """Nobody knows the name any more."""
        self._unknown.touch()

    def remember(self) -> None:
        self._unknown.unlink(missing_ok=True)
