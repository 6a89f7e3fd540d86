"""The process that `StandIn.run` starts: one test's body, and a look at what it left alive."""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path

from tests.support.fake_cuda import cubin
from tests.support.fake_cuda.control import alive


def main() -> None:
    module, name, kernels, ending = sys.argv[1:]
    getattr(importlib.import_module(module), name).body(cubin(Path(kernels)))
    gc.collect()
    if ending == "clean" and (left := alive()):
        raise AssertionError(f"left alive: {left}")


if __name__ == "__main__":
    main()
