"""A host name that tests can make resolvable or not for a process, with a preloaded resolver that checks a file."""

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
    """Resolves `camera.test` to 127.0.0.1 in processes that get `environ`, until `forget`."""

    def __init__(self, folder: Path) -> None:
        """Compiles a library for LD_PRELOAD into the folder. Raises RuntimeError if there is no g++."""
        compiler = shutil.which("g++")
        if compiler is None:
            raise RuntimeError("g++ is not on the PATH: `apt-get install g++`")
        self._unknown = folder / "unknown-name"
        source, library = folder / "resolver.cpp", folder / "resolver.so"
        source.write_text(_SOURCE % {"name": NAME, "unknown": self._unknown})
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(library), "-ldl"], check=True)
        self.environ = {"LD_PRELOAD": str(library)}

    def forget(self) -> None:
        """Makes the name unknown."""
        self._unknown.touch()

    def remember(self) -> None:
        self._unknown.unlink(missing_ok=True)
