"""The decoders by name of head, as stated by the model."""

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
    """Returns the decoder of that name. Raises PluginError, which lists the known ones."""
    if name not in HEADS:
        raise PluginError(
            f"model {model!r} has head {name!r}, which the detector cannot read: choose a model whose head is one of "
            + ", ".join(sorted(HEADS))
        )
    return HEADS[name]
