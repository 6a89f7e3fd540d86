"""The process that `StandIn.run` starts: runs the body of one test and checks that nothing is left alive on the
device."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
from pathlib import Path

from tests.support.fake_cuda import cubin
from tests.support.fake_cuda.control import alive


def main() -> None:
    module, name, kernels, ending = sys.argv[1:]
    if ending == "clean at exit":
        atexit.register(check_at_exit)  # exit handlers run in reverse order: this runs after the driver's
    getattr(importlib.import_module(module), name).body(cubin(Path(kernels)))
    gc.collect()
    if ending == "clean" and (left := alive()):
        raise AssertionError(f"left alive: {left}")


def check_at_exit() -> None:
    if left := alive():
        print(f"left alive: {left}", file=sys.stderr, flush=True)  # noqa: T201 - for the parent process
        os._exit(1)  # an exception would not change the exit code any more


if __name__ == "__main__":
    main()
