"""Test-runs a user's ONNX file in a subprocess with memory and time limits before anything else runs it.

Reading a file does not show how much it will use: shapes are computed, constants are folded during loading, and loop
counts come from tensors. So `require_bounded` loads the file and runs it twice, on zeros and on noise, in a subprocess;
a malicious file can only crash that process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from sightd.engines.errors import EngineError, ModelFileError
from sightd.engines.files import Version, version_of
from sightd.engines.model import Model
from sightd.engines.models.onnx_file import files_of, size_with_weights
from sightd.engines.session import zeros
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.subprocess_path import with_package_path

MEMORY = 4 << 30
"""Bytes in addition to `_COPIES` times the weights. The catalogue's models use 0.3 GiB. 64 channels of a 4K image, more
than is possible in real time, use 2 GiB."""
_COPIES = 4
"""Copies of the weights: the file, the graph, the optimised graph, and the weights packed for execution."""
_CPU_S = 30
_NOISE = 255
"""Largest value of the noise."""
_DEADLINE_S = 120.0
"""Generous, for a busy machine."""
_OUT_OF_MEMORY = 3
_SIGNS = ("bad_alloc", "allocate memory", "bad allocation", "nteger overflow", "would require more than", "byte limit")
"""What ONNX Runtime reports if it cannot allocate what an operator needs, its size overflows, or it exceeds a limit."""


def require_bounded(model: Model) -> None:
    """Raises ModelFileError if loading or running the file of `model` needs more than `MEMORY` plus a multiple of the
    weights, takes more than 30 s of CPU time, or crashes the process that does it.

    Blocks for up to 120 s. A file is not tried again until it or its weights change. Thread-safe. A file that fails to
    load for other reasons passes; the code that opens it reports why.
    """
    assert model.path is not None
    spec = model.input
    versions = tuple(version_of(file) for file in sorted(files_of(model.path)))
    fault = _fault(model.path, versions, spec.tensor, spec.shape(1))
    if fault:
        raise ModelFileError(f"{model.path} {fault}")


@functools.lru_cache(maxsize=64)
def _fault(path: Path, _versions: tuple[Version, ...], tensor: str, shape: tuple[int, ...]) -> str:
    """Returns what is wrong, as part of a sentence, or "" if nothing is."""
    memory = MEMORY + _COPIES * size_with_weights(path)
    arguments = [str(path.resolve()), tensor, "x".join(map(str, shape)), str(memory), str(_CPU_S)]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "sightd.engines.sessions.onnxruntime.trial", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=with_package_path(os.environ), start_new_session=True,
    ) as process:  # fmt: skip
        try:
            code = process.wait(_DEADLINE_S)
        except subprocess.TimeoutExpired:
            return f"cannot be run within {_DEADLINE_S:g} s"
        finally:
            process.kill()
    if code == _OUT_OF_MEMORY:
        return f"needs more than {memory / 2**30:.1f} GiB of memory to process one image: export a smaller model"
    if code == -signal.SIGXCPU:
        return f"needs more than {_CPU_S} s of CPU time to load and process two images: export a smaller model"
    if code < 0:
        return f"cannot be run: ONNX Runtime was killed by {signal.Signals(-code).name} in a trial run"
    return f"trial run failed: the process exited with code {code}" if code else ""


def _try(path: Path, tensor: str, shape: tuple[int, ...]) -> int:
    """Runs the model on zeros and on noise. Returns the exit code of the process."""
    try:
        session = OnnxRuntimeSession(path, 1)
        inputs = zeros(session.inputs, {tensor: shape})
        session.run(inputs)
        noise = np.random.default_rng(0)
        session.run({name: (_NOISE * noise.random(zero.shape)).astype(zero.dtype) for name, zero in inputs.items()})
    except MemoryError:
        return _OUT_OF_MEMORY
    except EngineError as error:
        return _OUT_OF_MEMORY if any(sign in str(error) for sign in _SIGNS) else 0
    return 0


def _end_with_parent() -> None:
    """Ends this process when its parent, which holds the other end of standard input, ends."""
    os.read(0, 1)  # not sys.stdin, whose lock would be held at interpreter exit
    os._exit(1)


def _limit(memory: int, cpu_s: int) -> None:
    """Allows `memory` bytes in addition to current use, and `cpu_s` seconds of CPU time in total. Makes this process
    the first one that the kernel kills if the machine runs out of memory."""
    with contextlib.suppress(OSError):  # /proc may be read-only; the limits below still apply
        Path("/proc/self/oom_score_adj").write_text("1000")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)  # a reload tries models while live video runs


def main(path: str, tensor: str, shape: str, memory: str, cpu_s: str) -> int:
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    _limit(int(memory), int(cpu_s))
    return _try(Path(path), tensor, tuple(map(int, shape.split("x"))))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
