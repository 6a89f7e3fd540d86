"""Functions that a package registers for a model role of its own, to compare results of such models.

A `Model` states its role, such as "detector". Both functions are imported only when a model of the role needs them. A
model without them works, but not on TensorRT, which needs a box reader for roles that sightd does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.tensorrt.verify import BoxReader
from sightd.plugins.api.frame import Frame

BOX_READER_ENTRY_POINT_GROUP = "sightd.box_readers"
"""Entry points of `BoxReaderFactory` functions, by role."""
DRIFT_ENTRY_POINT_GROUP = "sightd.drift"
"""Entry points of `Drift` functions, by role."""

BoxReaderFactory = Callable[[Model], BoxReader]
"""Returns what turns a model's raw outputs into boxes: a new TensorRT engine must find those of ONNX Runtime. Raises
PluginError for a model that it cannot read."""
Drift = Callable[[Engine, Engine, Sequence[Frame]], str]
"""Says in one sentence how far the results of the second engine, the int8 one, agree with those of the first on a few
frames. Raises PluginError if it cannot run one of them."""
