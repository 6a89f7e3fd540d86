"""The process behind `StandIn.run`: it imports test modules once and forks a child for each test, which runs the body
of the test and checks that nothing is left alive on the device.

The driver is opened by children only. Each line of standard input is a JSON object (see `Request`); each answer is a
line with the child's exit code.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from tests.support.fake_cuda import cubin
from tests.support.fake_cuda.control import alive


class Request(TypedDict):
    """A test by `module` and `name`; its `ending`, the path of the test `kernels`, the child's environment, and the
    file for its `output`."""

    module: str
    name: str
    ending: str
    kernels: str
    environ: Mapping[str, str]
    output: str


def main() -> None:
    atexit.register(check_at_exit)  # exit handlers run in reverse order: this runs after those of what is imported now
    for line in sys.stdin:
        request: Request = json.loads(line)
        importlib.import_module(request["module"])
        gc.freeze()  # children search only what they made for garbage
        child = os.fork()
        if not child:
            run(request)
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - for the parent process
    atexit.unregister(check_at_exit)


def run(request: Request) -> None:
    """Runs a test in this process, which must end afterwards."""
    os.environ.clear()
    os.environ.update(request["environ"])
    with Path(request["output"]).open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if request["ending"] != "clean at exit":
        atexit.unregister(check_at_exit)
    getattr(importlib.import_module(request["module"]), request["name"]).body(cubin(Path(request["kernels"])))
    gc.collect()
    if request["ending"] == "clean" and (left := alive()):
        raise AssertionError(f"left alive: {left}")


def check_at_exit() -> None:
    if left := alive():
        print(f"left alive: {left}", file=sys.stderr, flush=True)  # noqa: T201 - for the parent process
        os._exit(1)  # an exception would not change the exit code any more


if __name__ == "__main__":
    main()
