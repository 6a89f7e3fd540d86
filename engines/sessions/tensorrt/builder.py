"""Builds TensorRT engines from ONNX for a range of input shapes.

Takes minutes and gigabytes of memory; run it through `engines.sessions.tensorrt.build_process`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightd.engines.errors import EngineBuildError
from sightd.engines.sessions.tensorrt import api
from sightd.engines.sessions.tensorrt.names import Flavour, TensorRT, TensorRtLog, make_log

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BatchRange:
    """Number of images per run: from `least` to `most`, fastest at `usual`. Raises ValueError if they are not in that
    order."""

    least: int = 1
    usual: int = 1
    most: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.usual <= self.most:
            raise ValueError(f"batch range {self}: must be 1 <= least <= usual <= most")

    @classmethod
    def parse(cls, text: str) -> BatchRange:
        """Parses "1:4:16" as least, usual and most, or "8" as 1, 8 and 8. Raises ValueError for anything else."""
        match [int(part) for part in text.split(":")]:
            case [most]:
                return cls(1, most, most)
            case [least, usual, most]:
                return cls(least, usual, most)
        raise ValueError(f"batch range {text!r}: write LEAST:USUAL:MOST, such as 1:4:16")

    def __str__(self) -> str:
        return f"{self.least}:{self.usual}:{self.most}"


def shapes_for(
    name: str, shape: Sequence[int], batch: BatchRange, sizes: Mapping[str, Shape]
) -> tuple[Shape, Shape, Shape] | None:
    """Returns the least, usual and largest shape of an input, or None if no axis is dynamic (-1 in `shape`).

    The first axis is the batch; `sizes[name]` gives the size of the others. Raises EngineBuildError if it is missing or
    does not fit.
    """
    if -1 not in shape:
        return None
    rest = tuple(shape[1:])
    if -1 in rest:
        wanted = sizes.get(name)
        if wanted is None or len(wanted) != len(rest):
            raise EngineBuildError(
                f"input {name} {list(shape)} has dynamic axes other than the batch: give its size, one number for "
                "each axis after the first, or export the model with a fixed size"
            )
        if any(axis not in (-1, size) for axis, size in zip(rest, wanted, strict=True)):
            raise EngineBuildError(f"input {name} {list(shape)} does not accept {list(wanted)}")
        rest = wanted
    if shape[0] != -1:
        return ((shape[0], *rest),) * 3
    return (batch.least, *rest), (batch.usual, *rest), (batch.most, *rest)


VERSION = 1
"""Increased when the same ONNX file would result in a different engine. Part of an engine's identity."""

BuildProgress = Callable[[str, int, int], None]
"""Takes (phase, steps done, total steps). If it raises an exception, the build stops and the exception propagates."""


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """What to build. The precision is that of the ONNX file: fp16 weights, or Q/DQ nodes for int8.

    `sizes` gives the axes after the batch for inputs that leave them open. `workspace` is the memory in bytes that a
    layer may use while it runs. `level` (0-5) sets how much effort TensorRT spends on finding faster kernels.
    `capabilities` are compute capabilities of other cards to build for (TensorRT for RTX only). `timing_cache` is a
    file that speeds up builds; it is created if missing.
    """

    onnx: Path
    flavour: Flavour
    batch: BatchRange = field(default_factory=BatchRange)
    sizes: Mapping[str, Shape] = field(default_factory=dict)
    workspace: int = 2 << 30
    level: int = 3
    capabilities: tuple[tuple[int, int], ...] = ()
    timing_cache: Path | None = None


def build_plan(trt: TensorRT, order: BuildOrder, progress: BuildProgress) -> bytes:
    """Returns the serialised engine. `progress` is called from TensorRT's threads. Raises EngineBuildError with
    TensorRT's reasons."""
    log = make_log(trt.module)
    builder = trt.module.Builder(log.target)
    network = builder.create_network(trt.typed_network_flags())
    parser = trt.module.OnnxParser(network, log.target)
    if not parser.parse_from_file(str(order.onnx)):
        raise EngineBuildError(f"{order.onnx.name} cannot be read by {trt.title}: {_reasons(parser)}")
    config = _configure(trt, builder, network, order)
    config.progress_monitor = _monitor(trt.module, progress)
    timing = _attach_timing_cache(trt, config, order.timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineBuildError(f"{trt.title} cannot build {order.onnx.name}: {_latest(log)}")
    if timing is not None and order.timing_cache is not None:
        _replace(order.timing_cache, bytes(timing.serialize()))
    return bytes(plan)  # type: ignore[call-overload, no-any-return]


def _configure(trt: TensorRT, builder: api.Builder, network: api.Network, order: BuildOrder) -> api.BuilderConfig:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.module.MemoryPoolType.WORKSPACE, order.workspace)
    config.builder_optimization_level = order.level
    profile = builder.create_optimization_profile()
    for tensor in map(network.get_input, range(network.num_inputs)):
        if shapes := shapes_for(tensor.name, tuple(tensor.shape), order.batch, order.sizes):
            profile.set_shape(tensor.name, *shapes)
    if config.add_optimization_profile(profile) < 0:
        raise EngineBuildError(f"{trt.title} rejects {order.onnx.name} for batches of {order.batch}")
    try:
        trt.compile_for(config, order.capabilities)
    except ValueError as error:
        raise EngineBuildError(str(error)) from error
    return config


def _attach_timing_cache(trt: TensorRT, config: api.BuilderConfig, path: Path | None) -> api.TimingCache | None:
    if path is None or not trt.has_timing_cache:
        return None
    try:
        known = path.read_bytes()
    except FileNotFoundError:
        known = b""
    timing = config.create_timing_cache(known)
    if not config.set_timing_cache(timing, False):  # belongs to another card or version
        timing = config.create_timing_cache(b"")
        config.set_timing_cache(timing, False)
    return timing


def _monitor(module: api.Module, progress: BuildProgress) -> Any:
    base: Any = module.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        """Phases nest; a step belongs to the phase with its name."""

        def __init__(self) -> None:
            base.__init__(self)
            self.totals: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.totals[phase_name] = num_steps
            progress(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress(phase_name, step + 1, self.totals.get(phase_name, step + 1))
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.totals.pop(phase_name, None)

    return Monitor()


def _reasons(parser: api.Parser) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    told = [f"{_place(error)}{error.desc()}" for error in errors]
    return "; ".join(told) or "the parser gave no reason"


def _place(error: api.ParserError) -> str:
    node, operator = error.node_name(), error.node_operator()
    return f"node {node or '(unnamed)'} ({operator}): " if operator else ""


def _latest(log: TensorRtLog) -> str:
    return "; ".join(log.errors()) or "no reason given (not enough GPU memory?)"


def _replace(path: Path, content: bytes) -> None:
    """Replaces the file atomically: readers see either the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(scratch).replace(path)
