"""Style transfer on video: temporal stability and its cost, compared to the model only: `python -m bench.style`."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np

from bench.style_rate import FPS, HELD, rates
from sightd.daemon.capture.picture import to_bgr
from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.engines.labels import STYLES
from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.engines.preprocess import prepare
from sightd.engines.session import Session
from sightd.plugins.api import FloatArray, Image
from sightd.plugins.style.compositing import enlarged
from sightd.plugins.style.config import StyleConfig
from sightd.plugins.style.mixture import weights_of
from sightd.plugins.style.pace import size_for
from sightd.plugins.style.temporal_smoother import Painted, TemporalSmoother

FILMS = ("bikes.mp4", "single_face.mp4")
ERROR, COST = 0.5, 1.3
_OUTPUT = (640, 360)
_LINES = 176
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """Results for one video: warping errors (0-255) of independently painted frames and of stabilised ones; median
    times in ms of the model, of stabilising its output, and of enlarging it to 640x360."""

    film: str
    frames: int
    naive_error: float
    steady_error: float
    network: float
    steady: float
    enlarge: float

    @property
    def error_ratio(self) -> float:
        return self.steady_error / self.naive_error

    @property
    def cost_ratio(self) -> float:
        return (self.network + self.steady) / self.network

    @property
    def kept(self) -> bool:
        return self.error_ratio <= ERROR and self.cost_ratio <= COST


def warping_error(before: Image, now: Image, painted_before: FloatArray, painted: FloatArray) -> float:
    """Returns the mean absolute difference (0-255) between a painting and the previous one warped by the frames'
    motion, over pixels that were neither occluded nor uncovered (Lai et al. 2018, arXiv 1808.00449, with forward and
    backward flow for occlusion).

    The motion is estimated independently of the plug-in, and more finely. Frames are BGR uint8 [h, w, 3], paintings
    float32 of the same shape.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [np.asarray(cv2.cvtColor(one, cv2.COLOR_BGR2GRAY), np.uint8) for one in (before, now)]
    back = np.asarray(flow.calc(grey[1], grey[0], None), np.float32)  # type: ignore[call-overload]
    forth = np.asarray(flow.calc(grey[0], grey[1], None), np.float32)  # type: ignore[call-overload]
    rows, columns = np.mgrid[: now.shape[0], : now.shape[1]].astype(np.float32)
    origins = np.stack((columns, rows), axis=-1) + back
    there = cv2.remap(forth, origins, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    round_trip = np.linalg.norm(back + there, axis=2)
    inside = (origins >= 0).all(axis=2) & (origins[..., 0] < now.shape[1]) & (origins[..., 1] < now.shape[0])
    seen = inside & (round_trip < 1.0)
    moved = cv2.remap(painted_before, origins, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    return float(np.abs(painted - moved)[seen].mean())


def measure(session: Session, film: str, frames: Iterator[Image], style: str) -> Figure:
    """Paints consecutive frames both ways; needs at least two."""
    steadier, weights = TemporalSmoother(), weights_of({style: 1.0}, STYLES)[None]
    times: dict[str, list[float]] = {"network": [], "steady": [], "enlarge": []}
    errors: list[tuple[float, float]] = []
    last: tuple[Image, FloatArray, Painted] | None = None
    for frame in frames:
        output = np.asarray(cv2.resize(frame, _OUTPUT, interpolation=cv2.INTER_AREA), np.uint8)
        width, height = size_for(*_OUTPUT, _LINES)
        small = np.asarray(cv2.resize(output, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        spec = InputSpec("image", width, height, ColourOrder.RGB, Resize.STRETCH, scale=1 / 255)
        naive = _timed(times["network"], lambda small=small, spec=spec: _painting(session, small, spec, weights))  # type: ignore[misc]
        before = None if last is None else last[2]
        painted = _timed(times["steady"], lambda b=before, s=small, n=naive: steadier.steadied(b, s, n.copy()))  # type: ignore[misc]
        _timed(times["enlarge"], lambda p=painted, o=output: enlarged(p.paint, o, p.grey))  # type: ignore[misc]
        if last is not None:
            was, was_naive, was_painted = last
            ours = warping_error(was, small, was_painted.paint, painted.paint)
            errors.append((warping_error(was, small, was_naive, naive), ours))
        last = small, naive, painted
    naive_error, steady_error = np.mean(errors, axis=0).tolist()
    medians = [float(np.median(one)) * 1e3 for one in times.values()]
    return Figure(film, len(errors) + 1, naive_error, steady_error, *medians)


def _painting(session: Session, small: Image, spec: InputSpec, weights: FloatArray) -> FloatArray:
    tensor, _ = prepare([small], spec)
    (planes,) = next(iter(session.run({"image": tensor, "style_weights": weights}).values()))
    return np.ascontiguousarray(planes.transpose(1, 2, 0)[:, :, ::-1] * np.float32(255), np.float32)


def _timed(into: list[float], work: Callable[[], T]) -> T:
    begun = time.perf_counter()
    result = work()
    into.append(time.perf_counter() - begun)
    return result


def _film(path: Path, count: int) -> Iterator[Image]:
    with av.open(str(path)) as container:
        for n, picture in enumerate(container.decode(video=0)):
            if n == count:
                return
            yield to_bgr(picture)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if all aims are met, 1 if one is missed."""
    parser = argparse.ArgumentParser(prog="bench.style", description=__doc__)
    parser.add_argument("samples", type=Path, metavar="FOLDER", help=f"where {' and '.join(FILMS)} are")
    parser.add_argument("--frames", type=int, default=60, metavar="N", help="of each film (default: 60)")
    parser.add_argument("--style", default="starry", metavar="NAME", help="(default: starry)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    with ProgressBar() as progress:
        engine = engine_loading(Models(), Engines(), progress)(["style26"], len(os.sched_getaffinity(0)), StyleConfig())
    figures = [measure(engine.session, film, _film(args.samples / film, args.frames), args.style) for film in FILMS]
    held = rates(engine, list(_film(args.samples / FILMS[0], args.frames)))
    engine.close()
    for one in figures:
        fps = 1e3 / (one.network + one.steady + one.enlarge)
        print(
            f"{one.film}: warping error {one.steady_error:.2f} steady, {one.naive_error:.2f} each for itself: "
            f"{one.error_ratio:.2f} (aim {ERROR}) · network {one.network:.1f} ms, steady {one.steady:.1f} ms: "
            f"{one.cost_ratio:.2f} x (aim {COST}) · enlarged to 640x360 in {one.enlarge:.1f} ms: {fps:.0f} fps · "
            f"{'kept' if one.kept else 'MISSED'}"
        )
    for rate in held:
        print(
            f"a camera of {FPS:.0f} fps, {rate.situation}: {rate.fps:.1f} fps painted at {rate.lines} lines "
            f"(aim {HELD * FPS:.0f}) · {'kept' if rate.kept else 'MISSED'}"
        )
    if args.json:
        found = {"films": [asdict(one) for one in figures], "rates": [asdict(one) for one in held]}
        args.json.write_text(json.dumps(found, indent=1))
    return 0 if all(one.kept for one in figures) and all(one.kept for one in held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
