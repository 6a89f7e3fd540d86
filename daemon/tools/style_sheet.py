"""A contact sheet of one photo in every style, with the styles' names."""

from __future__ import annotations

import cv2
import numpy as np

from sightd.daemon.render.text import SpriteCache
from sightd.daemon.render.theme import BLACK, Layout
from sightd.engines.labels import STYLES
from sightd.plugins.api import AnyPlugin, Context, Frame, FrameOverride, Image, Results

_ACROSS = 7


def contact_sheet(photo: Image, side: int, painter: type[AnyPlugin], context: Context) -> Image:
    """Returns a BGR image of tiles of `side` × `side` pixels; the unstyled photo fills the tiles after the last style.

    `painter` is the plug-in that paints, with the options `style` and `max_lines`. Raises PluginError or EngineError if
    it cannot be opened.
    """
    square = _square(photo, side)
    sprites = SpriteCache(Layout.of(side, side))
    tiles = []
    for name in STYLES:
        plugin = painter(painter.Config.model_validate({"style": name, "max_lines": max(side, 128)}))
        plugin.open(context)
        picture = plugin.process([Frame.of(square, still=True)], [Results()])[0].get(FrameOverride)
        plugin.close()
        assert picture is not None
        tile = picture.image.copy()
        sprites.label(name, BLACK).on(tile, 3, 3)
        tiles.append(tile)
    tiles += [square] * (-len(tiles) % _ACROSS)
    rows = [np.hstack(tiles[start : start + _ACROSS]) for start in range(0, len(tiles), _ACROSS)]
    return np.vstack(rows)


def _square(photo: Image, side: int) -> Image:
    height, width = photo.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    middle = photo[top : top + least, left : left + least]
    return np.asarray(cv2.resize(middle, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
