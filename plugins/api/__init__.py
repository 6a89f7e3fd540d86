"""The plug-in contract: everything that a plug-in imports.

`plugin` is the base class, and the functions that a package registers for model roles of its own; `frame` is what a
plug-in is given and draws on, `results`, `shapes` and `appearance` what it produces, `reports` how it declares counters
and events, `json_form` how results become JSON, and `units` the types of its options. `service` is what it offers to
people through the daemon's API, `commands` what it adds to the command line, and `errors` has the exceptions and
problems of options.
Each module is imported when the first of its names is used, so that a module that declares a command stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sightd.engines.sessions.tensorrt.verify import Boxes, BoxReader
    from sightd.plugins.api.appearance import Appearances, Identities
    from sightd.plugins.api.commands import (
        COMMAND_ENTRY_POINT_GROUP,
        WHICH_DAEMON,
        ApiAnswer,
        ApiClient,
        Command,
        CommandContext,
        add_daemon_options,
    )
    from sightd.plugins.api.errors import (
        ApiError,
        ConfigProblem,
        InvalidRequestError,
        PluginError,
        RefusedError,
        UsageError,
    )
    from sightd.plugins.api.frame import BoolArray, Canvas, FloatArray, Frame, Image, IntArray, Luma, LumaPlane
    from sightd.plugins.api.json_form import FRAME_KEYS, STANDARD_KEYS, JsonResult, json_of, merged_json
    from sightd.plugins.api.plugin import (
        API_VERSION,
        BOX_READER_ENTRY_POINT_GROUP,
        DRIFT_ENTRY_POINT_GROUP,
        ENTRY_POINT_GROUP,
        AnyPlugin,
        BoxReaderFactory,
        Context,
        Drift,
        Plugin,
        PluginConfig,
    )
    from sightd.plugins.api.reports import (
        MAX_EVENTS,
        MAX_FACTS,
        MAX_VALUES,
        RESERVED_KINDS,
        SHARED_KINDS,
        Count,
        CounterSpec,
        Event,
        EventRef,
        EventSpec,
        GaugeSpec,
        GaugeValue,
        JsonOptions,
        JsonValue,
        MetricSpec,
        Phase,
    )
    from sightd.plugins.api.results import (
        Classification,
        CountedResult,
        Detections,
        Events,
        Faces,
        FrameOverride,
        MeasuredResult,
        PrivacyMask,
        Results,
        Tracks,
        check_lengths,
        label_of,
    )
    from sightd.plugins.api.service import (
        ROUTE_ENTRY_POINT_GROUP,
        Answer,
        Mode,
        PluginService,
        Role,
        Route,
        ServiceContext,
        Storage,
    )
    from sightd.plugins.api.shapes import DrawnMask, Keypoints, Masks, OrientedBoxes
    from sightd.plugins.api.units import Device, Duration, Size, Span
else:
    _MODULES = (
        ".errors",
        ".commands",
        ".reports",
        ".units",
        ".frame",
        ".shapes",
        ".appearance",
        ".results",
        ".json_form",
        ".service",
        ".plugin",
        "sightd.engines.sessions.tensorrt.verify",
    )
    """The modules with these names; those that import least come first."""

    def __getattr__(name: str) -> object:
        if name in __all__:
            for module in _MODULES:
                found = vars(import_module(module, __name__))
                if name in found:
                    globals()[name] = found[name]
                    return found[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "API_VERSION",
    "BOX_READER_ENTRY_POINT_GROUP",
    "COMMAND_ENTRY_POINT_GROUP",
    "DRIFT_ENTRY_POINT_GROUP",
    "ENTRY_POINT_GROUP",
    "FRAME_KEYS",
    "MAX_EVENTS",
    "MAX_FACTS",
    "MAX_VALUES",
    "RESERVED_KINDS",
    "ROUTE_ENTRY_POINT_GROUP",
    "SHARED_KINDS",
    "STANDARD_KEYS",
    "WHICH_DAEMON",
    "Answer",
    "AnyPlugin",
    "ApiAnswer",
    "ApiClient",
    "ApiError",
    "Appearances",
    "BoolArray",
    "BoxReader",
    "BoxReaderFactory",
    "Boxes",
    "Canvas",
    "Classification",
    "Command",
    "CommandContext",
    "ConfigProblem",
    "Context",
    "Count",
    "CountedResult",
    "CounterSpec",
    "Detections",
    "Device",
    "DrawnMask",
    "Drift",
    "Duration",
    "Event",
    "EventRef",
    "EventSpec",
    "Events",
    "Faces",
    "FloatArray",
    "Frame",
    "FrameOverride",
    "GaugeSpec",
    "GaugeValue",
    "Identities",
    "Image",
    "IntArray",
    "InvalidRequestError",
    "JsonOptions",
    "JsonResult",
    "JsonValue",
    "Keypoints",
    "Luma",
    "LumaPlane",
    "Masks",
    "MeasuredResult",
    "MetricSpec",
    "Mode",
    "OrientedBoxes",
    "Phase",
    "Plugin",
    "PluginConfig",
    "PluginError",
    "PluginService",
    "PrivacyMask",
    "RefusedError",
    "Results",
    "Role",
    "Route",
    "ServiceContext",
    "Size",
    "Span",
    "Storage",
    "Tracks",
    "UsageError",
    "add_daemon_options",
    "check_lengths",
    "json_of",
    "label_of",
    "merged_json",
]
