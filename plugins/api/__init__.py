"""The plug-in contract: everything that a plug-in imports.

`plugin` is the base class, `frame` what it is given, `results` what it produces, `canvas` what it draws on, and `units`
the types of its options.
"""

from sightd.plugins.api.canvas import Canvas
from sightd.plugins.api.frame import BoolArray, FloatArray, Frame, Image, IntArray
from sightd.plugins.api.plugin import (
    API_VERSION,
    ENTRY_POINT_GROUP,
    AnyPlugin,
    Context,
    Fault,
    Plugin,
    PluginConfig,
    PluginError,
)
from sightd.plugins.api.results import (
    Classification,
    Detections,
    Faces,
    Hidden,
    Picture,
    Results,
    Tracks,
    check_lengths,
    label_of,
)
from sightd.plugins.api.units import Device, Duration, Size, Span

__all__ = [
    "API_VERSION",
    "ENTRY_POINT_GROUP",
    "AnyPlugin",
    "BoolArray",
    "Canvas",
    "Classification",
    "Context",
    "Detections",
    "Device",
    "Duration",
    "Faces",
    "Fault",
    "FloatArray",
    "Frame",
    "Hidden",
    "Image",
    "IntArray",
    "Picture",
    "Plugin",
    "PluginConfig",
    "PluginError",
    "Results",
    "Size",
    "Span",
    "Tracks",
    "check_lengths",
    "label_of",
]
