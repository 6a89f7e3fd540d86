from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def numbers_of(program: str) -> list[float]:
    """Returns the numbers that a program prints. It runs in its own process, because memory and GC are process-wide."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=True
    )
    return [float(word) for word in done.stdout.split()]


def test_gaps_between_what_stays_go_back_to_the_system() -> None:
    """Of images of 100 kB each, all but every tenth are freed."""
    full, gaps, trimmed = numbers_of("""
        import ctypes, os, time
        from sightd.daemon.common.process import Trimmer
        from tests.support.process import sample

        if not hasattr(ctypes.CDLL(None), "malloc_trim"):
            print("-1 -1 -1")
            raise SystemExit
        pictures = [bytearray(100_000) for _ in range(1000)]
        print(sample(os.getpid()).memory)
        pictures = pictures[::10]
        gaps = sample(os.getpid()).memory
        print(gaps)
        trimmer, deadline = Trimmer(every=0.01), time.monotonic() + 10
        trimmer.start()
        while sample(os.getpid()).memory > gaps - 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        trimmer.close()
        print(sample(os.getpid()).memory)
    """)
    if full < 0:
        pytest.skip("this C library has no malloc_trim")
    assert full - gaps < 10, "by itself it keeps them"
    assert gaps - trimmed > 60


def test_what_was_there_at_the_start_is_not_searched_for_garbage_and_what_came_after_soon_is() -> None:
    """A camera in a reference cycle is removed after it has reached the oldest generation; then others come and go."""
    searched, alive = numbers_of("""
        import gc, weakref
        import sightd.daemon.app.daemon
        from sightd.daemon.common.process import freeze_gc

        class Camera:
            def __init__(self):
                self.me = self

        freeze_gc()
        print(len(gc.get_objects()))
        camera = Camera()
        gc.collect(1)
        gone = weakref.ref(camera)
        del camera
        for _ in range(200_000):
            Camera()
        print(int(gone() is not None))
    """)
    assert searched < 100
    assert not alive
