"""Makes the calibration table of a face embedder: `python -m bench.face_calibration FOLDER --model sface`.

FOLDER has a folder of photographs for each person. The table says how often different people reach a cosine (FMR) and
how often the same person does not (FNMR). Each embedder needs its own: the cosines of one mean nothing for another. Put
the file into plugins/face/matching/, under the name of the model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.plugins.api import FloatArray, Frame
from sightd.plugins.face.analyser import FaceAnalyser
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.detector import Search
from sightd.plugins.face.gallery.enrol import MIN_QUALITY, main_face
from sightd.plugins.images.still import StillError, read_still

RATES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
_FEWEST = 5
"""Pairs of different people that a row must rest on."""


@dataclass(frozen=True, slots=True)
class Row:
    """`fmr`: share of pairs of different people with this cosine or a higher one, which `pairs` of them reach; `fnmr`:
    share of pairs of the same person with a lower one."""

    fmr: float
    cosine: float
    fnmr: float
    pairs: int


def table(embeddings: FloatArray, owners: NDArray[np.int64]) -> list[Row]:
    """Returns the rows for embeddings float32 [n, d] of unit length and their persons' ids, int64 [n]. Raises
    ValueError without pairs of different and of the same person."""
    first, second = np.triu_indices(len(owners), 1)
    cosines = np.concatenate([one @ embeddings[n + 1 :].T for n, one in enumerate(embeddings)])
    same = owners[first] == owners[second]
    impostor, genuine = np.sort(cosines[~same])[::-1], cosines[same]
    if not len(impostor) or not len(genuine):
        raise ValueError("at least two persons are needed, and two photographs of one of them")
    counts = [(rate, round(rate * len(impostor))) for rate in RATES]
    return [
        Row(rate, float(impostor[count - 1]), float(np.mean(genuine < impostor[count - 1])), count)
        for rate, count in counts
        if count >= _FEWEST
    ]


def written(rows: Sequence[Row], model: str, photos: int, persons: int, pairs: tuple[int, int]) -> str:
    """Returns the table as the file that `calibration_of` reads."""
    head = (
        f"# {model}, cosine of two looks. Measured on {photos:,} pictures of {persons:,} persons: {pairs[0]:,} pairs\n"
        f"# of different and {pairs[1]:,} of the same person.\n"
        "# fmr: share of pairs of different persons with this cosine or a higher one, and how many they were; fnmr:\n"
        "# of the same person, with a lower one.\n"
        "fmr,cosine,fnmr,pairs\n"
    )
    lines = (f"{row.fmr:.0e},{row.cosine:.4f},{row.fnmr:.4f},{row.pairs}\n".replace("e-0", "e-") for row in rows)
    return head + "".join(lines)


def embedded(analyser: FaceAnalyser, folder: Path) -> Iterator[tuple[int, FloatArray]]:
    """Yields person and embedding of the main face of each photograph that is good enough to be enrolled."""
    for person, of_person in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for file in sorted(of_person.iterdir()):
            try:
                frame = Frame.of(read_still(file), still=True)
            except StillError as error:
                print(f"bench: left out: {error}", file=sys.stderr)
                continue
            looks = analyser.photograph(frame)
            row = main_face(looks.boxes, (frame.width, frame.height))
            if row is not None and looks.quality.totals[row] >= MIN_QUALITY:
                yield person, looks.embeddings[row]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the table. Returns 1 if the photographs do not suffice."""
    parser = argparse.ArgumentParser(prog="bench.face_calibration", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a folder of photographs for each person in it")
    parser.add_argument("--model", default="sface", help="the face embedder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table there instead of printing it")
    args = parser.parse_args(argv)
    with ExitStack() as closing:
        load = engine_loading(Models(), Engines(), closing.enter_context(ProgressBar()))
        detector, recogniser = load(["yunet"], 1, FaceConfig()), load([args.model], 1, FaceConfig())
        analyser = FaceAnalyser.of(detector, recogniser, Search(min_size=0))
        closing.callback(analyser.close)
        found = list(embedded(analyser, args.folder))
    owners = np.array([person for person, _ in found], np.int64)
    try:
        rows = table(np.array([embedding for _, embedding in found], np.float32), owners)
    except ValueError as error:
        print(f"bench: {args.folder}: {error}", file=sys.stderr)
        return 1
    counts = np.unique(owners, return_counts=True)[1]
    same = int((counts * (counts - 1) // 2).sum())
    pairs = len(owners) * (len(owners) - 1) // 2 - same, same
    text = written(rows, args.model, len(owners), len(counts), pairs)
    if args.out is None:
        print(text, end="")
    else:
        args.out.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
