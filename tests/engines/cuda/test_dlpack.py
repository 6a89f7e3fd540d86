"""Memory is shared with other libraries without a copy, and released when they are done: PyAV, with host memory."""

from __future__ import annotations

import gc

import av
import numpy as np

from sightd.engines.cuda.dlpack import BytePlane, lent

HOST = (1, 0)
"""kDLCPU."""


class Owner:
    """`kept` counts the live instances."""

    kept = 0

    def __init__(self) -> None:
        Owner.kept += 1

    def __del__(self) -> None:
        Owner.kept -= 1


def test_a_frame_reads_the_rows_where_they_are_and_keeps_their_owner() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (72, 160), np.uint8)
    owner = Owner()
    planes = [
        BytePlane(owner, rows.ctypes.data, 48, 128, 160, HOST),
        BytePlane(owner, rows[48:].ctypes.data, 24, 128, 160, HOST),
    ]
    frame = av.VideoFrame.from_dlpack(planes, format="nv12")
    del owner, planes
    gc.collect()
    np.testing.assert_array_equal(frame.to_ndarray(), rows[:, :128])
    rows[3, 5] ^= 255
    np.testing.assert_array_equal(frame.to_ndarray(), rows[:, :128])
    assert (Owner.kept, lent()) == (1, 2)
    del frame
    gc.collect()
    assert (Owner.kept, lent()) == (0, 0)


def test_it_says_where_it_lies() -> None:
    assert BytePlane(None, 0, 1, 1, 1, (2, 3)).__dlpack_device__() == (2, 3)
