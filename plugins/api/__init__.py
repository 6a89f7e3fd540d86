"""The plug-in contract: everything that a plug-in imports.

`plugin` is the base class, `frame` what it is given, `results` what it produces, `reports` how it declares counters and
events, `json_form` how results become JSON, `canvas` what it draws on, `units` the types of its options, and
`models` what it registers for models of a role of its own.
"""

from sightd.engines.sessions.tensorrt.verify import Boxes, BoxReader
from sightd.plugins.api.canvas import Canvas
from sightd.plugins.api.frame import BoolArray, FloatArray, Frame, Image, IntArray
from sightd.plugins.api.json_form import FRAME_KEYS, STANDARD_KEYS, JsonResult, json_of, merged_json
from sightd.plugins.api.models import BOX_READER_ENTRY_POINT_GROUP, DRIFT_ENTRY_POINT_GROUP, BoxReaderFactory, Drift
from sightd.plugins.api.plugin import (
    API_VERSION,
    ENTRY_POINT_GROUP,
    AnyPlugin,
    Context,
    Plugin,
    PluginConfig,
    PluginError,
)
from sightd.plugins.api.reports import (
    MAX_EVENTS,
    MAX_FACTS,
    MAX_VALUES,
    RESERVED_KINDS,
    Count,
    CounterSpec,
    Event,
    EventSpec,
    JsonOptions,
    JsonValue,
)
from sightd.plugins.api.results import (
    Classification,
    CountedResult,
    Detections,
    Events,
    Faces,
    Hidden,
    Picture,
    Results,
    Tracks,
    check_lengths,
    label_of,
)
from sightd.plugins.api.units import Device, Duration, Size, Span
from sightd.plugins.problem import ConfigProblem

__all__ = [
    "API_VERSION",
    "BOX_READER_ENTRY_POINT_GROUP",
    "DRIFT_ENTRY_POINT_GROUP",
    "ENTRY_POINT_GROUP",
    "FRAME_KEYS",
    "MAX_EVENTS",
    "MAX_FACTS",
    "MAX_VALUES",
    "RESERVED_KINDS",
    "STANDARD_KEYS",
    "AnyPlugin",
    "BoolArray",
    "BoxReader",
    "BoxReaderFactory",
    "Boxes",
    "Canvas",
    "Classification",
    "ConfigProblem",
    "Context",
    "Count",
    "CountedResult",
    "CounterSpec",
    "Detections",
    "Device",
    "Drift",
    "Duration",
    "Event",
    "EventSpec",
    "Events",
    "Faces",
    "FloatArray",
    "Frame",
    "Hidden",
    "Image",
    "IntArray",
    "JsonOptions",
    "JsonResult",
    "JsonValue",
    "Picture",
    "Plugin",
    "PluginConfig",
    "PluginError",
    "Results",
    "Size",
    "Span",
    "Tracks",
    "check_lengths",
    "json_of",
    "label_of",
    "merged_json",
]
