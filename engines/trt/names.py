"""TensorRT 10.12 to 11 and TensorRT for RTX: which one is here, and all in which they differ.

What is the same in all of them is in `engines.trt.api`. fp16 and int8 are a matter of the ONNX file (typed weights,
Q/DQ nodes) everywhere: TensorRT 11 knows no builder flag for them, so none is set on 10 either.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from sightd.engines.trt import api
from sightd.engines.trt.errors import TensorRtUnavailableError

OLDEST = (10, 12)
"""The first TensorRT whose strongly typed networks take every layer that exporters write."""

Import = Callable[[str], Any]


class Flavour(StrEnum):
    """Value: the Python module's name."""

    TENSORRT = "tensorrt"
    RTX = "tensorrt_rtx"


_INSTALL = {
    Flavour.TENSORRT: "pip install 'tensorrt>=10.12' (on Jetson it comes with JetPack)",
    Flavour.RTX: "pip install tensorrt-rtx-cu13 (GeForce and RTX cards from compute capability 7.5, not 9.0)",
}
_TITLES = {Flavour.TENSORRT: "TensorRT", Flavour.RTX: "TensorRT for RTX"}


@dataclass(frozen=True, slots=True)
class TensorRT:
    """An imported TensorRT of a known flavour. `module` is called through `engines.trt.api` only."""

    flavour: Flavour
    module: api.Module

    @property
    def version(self) -> str:
        return self.module.__version__

    @property
    def title(self) -> str:
        """ "TensorRT 11.4.0.106"."""
        return f"{_TITLES[self.flavour]} {self.version}"

    @property
    def has_timing_cache(self) -> bool:
        """RTX times nothing while it builds; its timing cache is a deprecated no-op."""
        return self.flavour is Flavour.TENSORRT

    def typed_network_flags(self) -> int:
        """Strongly typed: the network computes in the ONNX file's own types. Said on 10, always so on 11."""
        return 1 << int(self.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    def compile_for(self, config: api.BuilderConfig, capabilities: Sequence[tuple[int, int]]) -> None:
        """Makes an engine for cards of these compute capabilities, which need not be here; RTX alone can.

        None given: for the card that is here (TensorRT), for every card it knows (RTX). ValueError where it cannot.
        """
        if not capabilities:
            return
        if self.flavour is not Flavour.RTX:
            raise ValueError(f"{self.title} builds for the GPU that is here, not for others: state none")
        known = cast(Any, self.module).ComputeCapability
        rtx = cast(api.RtxBuilderConfig, config)
        rtx.num_compute_capabilities = len(capabilities)
        for index, (major, minor) in enumerate(capabilities):
            member = getattr(known, f"SM{major}{minor}", None)
            if member is None or not rtx.set_compute_capability(member, index):
                raise ValueError(
                    f"{self.title} does not know compute capability {major}.{minor}: use TensorRT itself on that GPU"
                )

    def capturable(self, context: api.Context, stream: int) -> bool:
        """Whether a CUDA graph may be captured of the context: RTX compiles kernels on first use, and must be asked."""
        if self.flavour is not Flavour.RTX:
            return True
        return cast(api.RtxContext, context).is_stream_capturable(stream)


def load(flavours: Sequence[Flavour] = tuple(Flavour), imported: Import = importlib.import_module) -> TensorRT:
    """The first flavour that can be imported; nothing of TensorRT is touched before.

    TensorRtUnavailableError says of each why not, and what to install.
    """
    reasons: list[str] = []
    for flavour in flavours:
        try:
            return _load(flavour, imported)
        except TensorRtUnavailableError as error:
            reasons.append(str(error))
    raise TensorRtUnavailableError("\n".join(reasons))


def unavailable(flavours: Sequence[Flavour] = tuple(Flavour), imported: Import = importlib.import_module) -> str | None:
    """Why none of the flavours can be imported, and what to install; None where one can."""
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
            raise TensorRtUnavailableError(f"{title} is installed in part: {error}. Again: {install}") from error
        raise TensorRtUnavailableError(f"{title} is not installed: {install}") from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TensorRtUnavailableError(f"{title} cannot be imported: {reason}. Again: {install}") from error
    if flavour is Flavour.TENSORRT and _numbers(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise TensorRtUnavailableError(f"{title} {version} is too old, {oldest} is the oldest that will do: {install}")
    return TensorRT(flavour, cast(api.Module, module))


def _numbers(version: str) -> tuple[int, ...]:
    """ "10.16.1.11" as (10, 16, 1, 11)."""
    return tuple(int(number) for number in re.findall(r"\d+", version))
