"""A bar code in the image that survives video compression: the frame number and the time the frame was made.

It lies along the bottom edge, where the daemon's status line (top left) does not draw. 80 cells side by side, each
`width // 80` pixels wide and twice as high, black for 0 and white for 1, most significant bit first: 24 bits of frame
counter, 40 bits of CLOCK_MONOTONIC in µs (it wraps after 12.7 days), 16 bits of CRC. Images need at least 320 x 32 px.
"""

from __future__ import annotations

import binascii
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CELLS = 80
_CLOCK_BITS = 40
_CLOCK_MASK = (1 << _CLOCK_BITS) - 1


@dataclass(frozen=True, slots=True)
class Bar:
    """A decoded bar: the frame number (modulo 2**24) and the CLOCK_MONOTONIC time in µs (modulo 2**40) when it was
    made."""

    number: int
    made_us: int

    def age(self, now_us: int | None = None) -> float:
        """Returns the seconds since it was made, on this machine's clock."""
        return (((clock_us() if now_us is None else now_us) - self.made_us) & _CLOCK_MASK) / 1e6


def clock_us(at: float | None = None) -> int:
    """Returns CLOCK_MONOTONIC (now, or `at` in s) in µs, modulo 2**40 as in the bar. All processes of a machine share
    this clock."""
    return (time.monotonic_ns() // 1000 if at is None else round(1e6 * at)) & _CLOCK_MASK


def put_bar(picture: NDArray[np.uint8], number: int, made_us: int | None = None) -> None:
    """Writes the bar into an image [height, width(, channels)] in place. Raises ValueError if it is too narrow."""
    made_us = clock_us() if made_us is None else made_us & _CLOCK_MASK
    payload = ((number & 0xFFFFFF) << _CLOCK_BITS | made_us).to_bytes(8, "big")
    code = payload + binascii.crc_hqx(payload, 0xFFFF).to_bytes(2, "big")
    cell = _cell(picture.shape[1])
    row = np.repeat(np.unpackbits(np.frombuffer(code, np.uint8)) * np.uint8(219) + np.uint8(16), cell)
    picture[-2 * cell :, : row.size] = row if picture.ndim == 2 else row[:, None]


def clear_bar_colour(chroma: NDArray[np.uint8]) -> None:
    """Removes the colour under the bar from the chroma planes [2, height / 2, width / 2] of an I420 image, in place."""
    chroma[:, -_cell(2 * chroma.shape[2]) :] = 128


def get_bar(picture: NDArray[np.uint8]) -> Bar | None:
    """Reads the bar of an image [height, width(, channels)]. Returns None if there is none or its CRC does not
    match."""
    cell = _cell(picture.shape[1])
    inner = slice(cell // 4, cell - cell // 4)
    strip = picture[-2 * cell + cell // 2 : -(cell // 2), : _CELLS * cell]
    if strip.shape[0] == 0:
        return None
    grey = strip if strip.ndim == 2 else strip.mean(axis=2)
    levels = grey.mean(axis=0).reshape(_CELLS, cell)[:, inner].mean(axis=1)
    code = np.packbits(levels > 127).tobytes()
    payload, check = code[:8], int.from_bytes(code[8:], "big")
    if binascii.crc_hqx(payload, 0xFFFF) != check:
        return None
    value = int.from_bytes(payload, "big")
    return Bar(value >> _CLOCK_BITS, value & _CLOCK_MASK)


def _cell(width: int) -> int:
    if width < 4 * _CELLS:
        raise ValueError(f"a picture of {width} px is too narrow for a bar; it needs {4 * _CELLS} px")
    return width // _CELLS
