"""Measures the cost of the tamper plug-in, and its false alarms on films: `python -m bench.tamper [FILM …]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, cycle, islice
from pathlib import Path

import av
import cv2
import numpy as np

from sightd.daemon.capture.picture import to_bgr
from sightd.engines.files import cache_directory
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore
from sightd.engines.progress import silent
from sightd.plugins.api import Events, Frame, Image, LumaPlane, Results
from sightd.plugins.tamper.plugin import Tamper, TamperConfig

_FILMS = ("bikes.mp4", "single_face.mp4", "face_noface.mov", "noface_face.mov", "no_face.mp4")
_SIZE = (1920, 1080)
_SECONDS = 120.0
"""Films are shown to and fro for this long, so that their view is learnt if the camera stands."""
_INTERVAL = 0.5


def fastest(call: Callable[[], object], times: int) -> float:
    """Returns the least time of a call in ms."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        found.append(time.perf_counter() - begun)
    return min(found) * 1e3


def cost(image: Image, times: int) -> tuple[float, float]:
    """Returns ms per look at a frame of 1080p whose luma plane is the decoder's, and per conversion of the same frame
    to BGR, which every frame that is shown needs."""
    large = np.asarray(cv2.resize(image, _SIZE, interpolation=cv2.INTER_CUBIC), np.uint8)
    picture = av.VideoFrame.from_ndarray(large, "bgr24").reformat(format="yuv420p")
    luma = np.asarray(picture.to_ndarray()[: _SIZE[1]], np.uint8)
    tamper, at = Tamper(TamperConfig.model_validate({"learn": "1s"})), count()

    def look() -> None:
        plane = LumaPlane(lambda: luma, (0.114, 0.587, 0.299, 0.0))
        frame = Frame("bench", 0, _SIZE, lambda: image, captured_at=next(at) / 2, wall_time=0.0, luma=plane)
        tamper.process([frame], [Results()])

    return fastest(look, times), fastest(lambda: to_bgr(picture), times)


def looks(film: Path) -> Iterator[Image]:
    """Yields an image of each half second of a film."""
    with av.open(str(film)) as container:
        following = 0.0
        for picture in container.decode(video=0):
            if (picture.time or 0.0) >= following:
                following += _INTERVAL
                yield to_bgr(picture)


def alarms(images: Sequence[Image]) -> int:
    tamper, found = Tamper(TamperConfig()), 0
    to_and_fro = cycle([*images, *images[-2:0:-1]])
    for number, image in enumerate(islice(to_and_fro, int(_SECONDS / _INTERVAL))):
        [results] = tamper.process([Frame.of(image, captured_at=number * _INTERVAL)], [Results()])
        events = results.get(Events)
        found += 0 if events is None else len(events.items)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.tamper", description=__doc__)
    parser.add_argument("films", nargs="*", type=Path, help="films of cameras that stand; by default the samples")
    parser.add_argument("--times", type=int, default=200, help="measurements of which the fastest counts (200)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    store, fetcher = SampleStore(cache_directory(os.environ) / "samples"), Fetcher(silent, default_mirror(os.environ))
    films = options.films or [store.ensure(name, fetcher) for name in _FILMS]
    cv2.setNumThreads(1)
    found = {film.name: alarms(list(looks(film))) for film in films}
    look, conversion = cost(next(looks(films[0])), options.times)
    for name, number in found.items():
        print(f"{name}: {number} events")
    print(f"1080p: {look:.2f} ms per look, {conversion:.2f} ms per conversion to BGR, ratio {look / conversion:.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"events": found, "look_ms": look, "ratio": look / conversion}))
    return 0 if not any(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
