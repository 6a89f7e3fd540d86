"""The decoders by the name that a model states as its head."""

from __future__ import annotations

from sightd.plugins.api import PluginError
from sightd.plugins.detector import nanodet, ssd, yolox
from sightd.plugins.detector.candidates import Head

HEADS: dict[str, Head] = {
    "ssd": ssd.decode,
    "yolox": yolox.decode,
    "yolox-decoded": yolox.decode_decoded,
    "nanodet": nanodet.decode,
}


def head_named(name: str, model: str) -> Head:
    """The decoder of that name; PluginError names those that there are."""
    if name not in HEADS:
        raise PluginError(
            f"model {model!r} has head {name!r}, which the detector cannot read: choose a model whose head is one of "
            + ", ".join(sorted(HEADS))
        )
    return HEADS[name]
