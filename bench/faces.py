"""Compares matching faces with a gallery to the bare matrix product: `python -m bench.faces`."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core, as documented; set before NumPy is loaded

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sightd.plugins.face.matching.matcher import DIMENSIONS, Enrolled, Matcher

AIMS_MS = {10_000: 2.0, 100_000: 15.0}
RATIO = 1.3
_REPEATS = 31


@dataclass(frozen=True, slots=True)
class Figure:
    """Median times in ms of matching `faces` faces with a gallery of `embeddings`, and of the matrix product only.
    `each` is the number of embeddings per person."""

    embeddings: int
    each: int
    faces: int
    ours: float
    product: float

    @property
    def ratio(self) -> float:
        return self.ours / self.product

    @property
    def kept(self) -> bool:
        return self.ours <= AIMS_MS.get(self.embeddings, float("inf")) and self.ratio <= RATIO


def measure(embeddings: int, each: int, faces: int, repeats: int = _REPEATS) -> Figure:
    """Measures both alternately, so other load on the machine affects both. `each`: embeddings per person."""
    random = np.random.default_rng(0)
    gallery = random.normal(size=(embeddings, DIMENSIONS)).astype(np.float32)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    matcher = Matcher(Enrolled(gallery, np.arange(embeddings) // each, {}, 0))
    asked = gallery[:faces] + 0
    ours: list[float] = []
    product: list[float] = []
    for _ in range(repeats):
        ours.append(_seconds(lambda: matcher.match(asked)))
        product.append(_seconds(lambda: asked @ gallery.T))
    return Figure(embeddings, each, faces, float(np.median(ours)) * 1e3, float(np.median(product)) * 1e3)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if all aims are met, 1 if one is missed."""
    parser = argparse.ArgumentParser(prog="bench.faces", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    figures = [measure(embeddings, each, faces) for embeddings in AIMS_MS for each in (1, 4) for faces in (1, 4)]
    print(f"{'embeddings':>10}  {'a person':>8}  {'faces':>5}  {'ours':>9}  {'product':>9}  {'ratio':>6}  aim")
    for one in figures:
        aim = f"{AIMS_MS[one.embeddings]:g} ms, {RATIO} x"
        print(
            f"{one.embeddings:>10,}  {one.each:>8}  {one.faces:>5}  {one.ours:>6.2f} ms  {one.product:>6.2f} ms  "
            f"{one.ratio:>4.2f} x  {aim}: {'kept' if one.kept else 'MISSED'}"
        )
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in figures], indent=1))
    return 0 if all(one.kept for one in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
