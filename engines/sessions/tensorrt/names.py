"""Finds an installed TensorRT (10.12 to 11, or TensorRT for RTX), covers all differences between them, and forwards
their messages to the program's log.

What they have in common is in `engines.sessions.tensorrt.api`. In all of them, fp16 and int8 are properties of the
ONNX file (typed weights, Q/DQ nodes): TensorRT 11 has no builder flags for them, so none is set on 10 either.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from sightd.engines.errors import TensorRtUnavailableError
from sightd.engines.sessions.tensorrt import api

OLDEST = (10, 12)
"""The first TensorRT whose strongly typed networks support every layer that exporters write."""

Import = Callable[[str], Any]


class Flavour(StrEnum):
    """The value is the name of the Python module."""

    TENSORRT = "tensorrt"
    RTX = "tensorrt_rtx"


_INSTALL = {
    Flavour.TENSORRT: "pip install 'tensorrt>=10.12' (on Jetson it comes with JetPack)",
    Flavour.RTX: (
        "pip install tensorrt-rtx-cu13 (GeForce and RTX cards with compute capability 7.5 or higher, except 9.0)"
    ),
}
_TITLES = {Flavour.TENSORRT: "TensorRT", Flavour.RTX: "TensorRT for RTX"}


@dataclass(frozen=True, slots=True)
class TensorRT:
    """An imported TensorRT of a known flavour. Call `module` only through `engines.sessions.tensorrt.api`."""

    flavour: Flavour
    module: api.Module

    @property
    def version(self) -> str:
        return self.module.__version__

    @property
    def title(self) -> str:
        """For example "TensorRT 11.4.0.106"."""
        return f"{_TITLES[self.flavour]} {self.version}"

    @property
    def has_timing_cache(self) -> bool:
        """TensorRT for RTX times nothing during a build; its timing cache is a deprecated no-op."""
        return self.flavour is Flavour.TENSORRT

    def typed_network_flags(self) -> int:
        """Returns the flags for a strongly typed network, which computes in the ONNX file's own types. TensorRT 10
        needs the flag; in 11 this is always the case."""
        return 1 << int(self.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    def compile_for(self, config: api.BuilderConfig, capabilities: Sequence[tuple[int, int]]) -> None:
        """Configures a build for cards of these compute capabilities, present or not. Only RTX supports this.

        If none are given, TensorRT builds for the present card, and RTX for every card it knows. Raises ValueError if
        the capabilities are not supported.
        """
        if not capabilities:
            return
        if self.flavour is not Flavour.RTX:
            raise ValueError(f"{self.title} builds only for the installed GPU: do not specify a compute capability")
        known = cast(Any, self.module).ComputeCapability
        rtx = cast(api.RtxBuilderConfig, config)
        rtx.num_compute_capabilities = len(capabilities)
        for index, (major, minor) in enumerate(capabilities):
            member = getattr(known, f"SM{major}{minor}", None)
            if member is None or not rtx.set_compute_capability(member, index):
                raise ValueError(
                    f"{self.title} does not support compute capability {major}.{minor}: use TensorRT on that GPU"
                )

    def capturable(self, context: api.Context, stream: int) -> bool:
        """Returns whether the context can be captured as a CUDA graph now. RTX compiles kernels on first use, so it has
        to be asked."""
        if self.flavour is not Flavour.RTX:
            return True
        return cast(api.RtxContext, context).is_stream_capturable(stream)


def load(flavours: Sequence[Flavour] = tuple(Flavour), imported: Import = importlib.import_module) -> TensorRT:
    """Imports the first available flavour. TensorRT is not touched before this call.

    Raises TensorRtUnavailableError, which says for each flavour why it failed and what to install.
    """
    reasons: list[str] = []
    for flavour in flavours:
        try:
            return _load(flavour, imported)
        except TensorRtUnavailableError as error:
            reasons.append(str(error))
    raise TensorRtUnavailableError("\n".join(reasons))


def unavailable(flavours: Sequence[Flavour] = tuple(Flavour), imported: Import = importlib.import_module) -> str | None:
    """Returns why no flavour can be imported and what to install, or None if one can."""
    try:
        load(flavours, imported)
    except TensorRtUnavailableError as error:
        return str(error)
    return None


def _load(flavour: Flavour, imported: Import) -> TensorRT:
    title, install = _TITLES[flavour], _INSTALL[flavour]
    try:
        module = imported(flavour.value)
        version = str(module.__version__)
    except ModuleNotFoundError as error:
        if error.name != flavour.value:
            raise TensorRtUnavailableError(
                f"{title} is only partly installed: {error}. Reinstall: {install}"
            ) from error
        raise TensorRtUnavailableError(f"{title} is not installed: {install}") from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TensorRtUnavailableError(f"{title} cannot be imported: {reason}. Reinstall: {install}") from error
    if flavour is Flavour.TENSORRT and _numbers(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise TensorRtUnavailableError(f"{title} {version} is too old, at least {oldest} is required: {install}")
    return TensorRT(flavour, cast(api.Module, module))


def _numbers(version: str) -> tuple[int, ...]:
    """Parses "10.16.1.11" as (10, 16, 1, 11)."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


logger = logging.getLogger(__name__)

_LEVELS = {"INTERNAL_ERROR": logging.ERROR, "ERROR": logging.ERROR, "WARNING": logging.WARNING}
_KEPT = 8


@dataclass(frozen=True, slots=True)
class TensorRtLog:
    """`target` is the logger passed to TensorRT. It must outlive every object created with it."""

    target: api.Logger
    _errors: deque[str]

    def errors(self) -> Sequence[str]:
        """Returns the latest errors, oldest first. TensorRT itself reports only that something failed."""
        return tuple(self._errors)


def make_log(module: api.Module) -> TensorRtLog:
    """Returns a logger of TensorRT's own class. TensorRT calls it from its own threads."""
    errors: deque[str] = deque(maxlen=_KEPT)
    base: Any = module.ILogger

    class Target(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            level = _LEVELS.get(severity.name)
            if level is None:  # tens of thousands of detail lines per build
                return
            if level == logging.ERROR:
                errors.append(msg)
            logger.log(level, "%s", msg)

    return TensorRtLog(Target(), errors)
