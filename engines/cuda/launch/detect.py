"""Turns raw outputs on the device into boxes on the host: decodes, sorts and suppresses there, and downloads only the
final boxes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.box_heads import BOX_HEADS, box_layout
from sightd.engines.cuda.launch.device import Buffer, Device, Grid, Kernels, Staging, blocks
from sightd.engines.cuda.launch.grid_heads import GRID_HEADS
from sightd.engines.cuda.launch.heads import HeadLayout, HeadMismatchError, Outputs
from sightd.engines.cuda.launch.layout import CANDIDATE, CANDIDATES, COUNTS, SUPPRESSION, VIEW, record
from sightd.engines.errors import EngineError
from sightd.engines.heads import CORNER, ROUNDING, WRONG_HEAD, is_oriented, only_in_corner, wrong_boxes
from sightd.engines.model import InputSpec
from sightd.engines.preprocess import Geometry


class CandidateBuffers:
    """Memory for `room` candidates for each of `pictures` images, optionally with five points each (`points`)."""

    def __init__(self, device: Device, pictures: int, room: int, points: bool) -> None:
        self._device = device
        self._pictures = pictures
        self._with_points = points
        self._counts = device.pinned((pictures,), COUNTS)
        self.counts_on_device = device.allocate(COUNTS.itemsize * pictures)
        self._allocate(room)

    def _allocate(self, room: int) -> None:
        self.room = room
        each = self._pictures * room
        self._keys = self._device.allocate(8 * each)
        self._boxes = self._device.allocate(CANDIDATE.itemsize * each)
        self._points: Buffer | None = self._device.allocate(40 * each) if self._with_points else None
        self._order = self._device.allocate(4 * each)
        self.kept = self._device.allocate(4 * each)

    def make_room(self, candidates: int) -> None:
        """Grows the memory to at least `candidates` per image, rounded up to a power of two. The content of the old
        buffers is lost. The stream must be idle."""
        self._free()
        self._allocate(1 << (candidates - 1).bit_length())

    def record(self, spec: InputSpec) -> NDArray[Any]:
        """Returns the struct `Candidates` for boxes in an input of that size."""
        return record(
            CANDIDATES,
            counts=self.counts_on_device.address,
            keys=self._keys.address,
            boxes=self._boxes.address,
            points=self._points.address if self._points is not None else 0,
            order=self._order.address,
            capacity=self.room,
            width=spec.width,
            height=spec.height,
            corner=CORNER,
            rounding=ROUNDING,
        )

    def fetch(self, stream: Any) -> NDArray[Any]:
        """Enqueues the download of the structs `Counts` [pictures]. The array is valid once the stream is synchronised
        and is overwritten by the next call."""
        counts = self._counts.array
        self.counts_on_device.download(counts, stream)
        return counts

    def _free(self) -> None:
        for buffer in (self._keys, self._boxes, self._points, self._order, self.kept):
            if buffer is not None:
                buffer.free()

    def close(self) -> None:
        self._free()
        self.counts_on_device.free()
        self._counts.free()


logger = logging.getLogger(__name__)

BLOCK: Grid = (128, 1, 1)
SUPPRESS_BLOCK: Grid = (256, 1, 1)
_ROOM = 4096
"""Initial number of candidates per image. If there are more, memory is enlarged and the whole step repeated."""


@dataclass(frozen=True, slots=True)
class BoxSelection:
    """Which boxes are returned. A `max_iou` of 1 suppresses none. `classes`: only boxes of these ids, or None for all;
    the others still suppress boxes. If `by_class` is True, boxes of different classes never suppress each other.

    `min_size` applies to the shorter side, in source pixels.
    """

    max_iou: float
    limit: int
    by_class: bool = True
    min_size: float = 0.0
    classes: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_iou <= 1 or self.limit < 1:
            raise ValueError(f"max_iou must be from 0 to 1 and limit at least 1, not {self.max_iou} and {self.limit}")


@dataclass(frozen=True, slots=True, eq=False)
class RawBoxes:
    """The boxes of one image, best first; new arrays, in source pixels.

    boxes xyxy float32 [n, 4] · scores float32 [n] · class_ids int64 [n] · points float32 [n, 5, 2] or None: a face's
    landmarks, or for heads with oriented boxes their corners and a fifth point without meaning · rows int64 [n]: row of
    the model's output that each box came from, for heads whose output has one row per box.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    points: NDArray[np.float32] | None
    rows: NDArray[np.int64]


def layout_of(head: str, outputs: Outputs, spec: InputSpec, classes: int, ignored: int) -> HeadLayout:
    """Returns the layout for a head of that name; `ignored` is the number of columns after those that are read. Raises
    HeadMismatchError if the outputs do not have its format."""
    if head in GRID_HEADS:
        return GRID_HEADS[head](outputs, spec, classes)
    if head in BOX_HEADS:
        return box_layout(head, outputs, spec, classes, ignored)
    raise HeadMismatchError(f"no kernel decodes head {head!r}, only {', '.join(sorted([*GRID_HEADS, *BOX_HEADS]))}")


class Detect:
    """The head of one detector in one GPU pipeline. Use from one thread. `min_score` [classes] is the minimum score per
    class; `ignored` is `Model.extra_columns`.

    Device memory: about 44 bytes per candidate (YuNet and oriented boxes: 84) for each of `max_batch` images.
    """

    def __init__(
        self,
        device: Device,
        kernels: Kernels,
        head: str,
        spec: InputSpec,
        min_score: NDArray[np.float32],
        choice: BoxSelection,
        max_batch: int,
        room: int = _ROOM,
        ignored: int = 0,
    ) -> None:
        self._device, self._kernels = device, kernels
        self._head, self._spec, self._choice, self._ignored = head, spec, choice, ignored
        self._least = np.float32(min_score.min())
        self._classes = len(min_score)
        self._max_batch = max_batch
        self._oriented = is_oriented(head)
        points = head == "yunet" or self._oriented
        self._views = Staging(device, VIEW, max_batch)
        self._candidates = CandidateBuffers(device, max_batch, room, points)
        self._min_score = Staging(device, np.dtype(np.float32), self._classes)
        self._allowed = Staging(device, np.dtype(np.uint8), self._classes)
        self._constants_sent = False
        self._scores = min_score.tolist()
        rows = max_batch * choice.limit
        self._given = device.pinned((max_batch,), np.int32)
        self._given_on_device = device.allocate(4 * max_batch)
        self._rows = device.pinned((max_batch, choice.limit), CANDIDATE)
        self._rows_on_device = device.allocate(CANDIDATE.itemsize * rows)
        self._points = device.pinned((max_batch, choice.limit, 5, 2), np.float32) if points else None
        self._points_on_device = device.allocate(40 * rows) if points else None
        self._rank = kernels.function("detect", "rank_candidates")
        self._suppress = kernels.function("suppress", "suppress")

    def run(self, outputs: Outputs, geometries: Sequence[Geometry], stream: Any) -> list[RawBoxes]:
        """Returns the detections of each image. Waits for the stream. Raises HeadMismatchError if the outputs do not
        match the head, in their form or in their values."""
        layout = layout_of(self._head, outputs, self._spec, self._classes, self._ignored)
        count = len(geometries)
        if not count <= min(layout.batch, self._max_batch):
            raise EngineError(
                f"{count} images, but outputs for {layout.batch} and buffers for {self._max_batch}: raise max_batch"
            )
        if count == 0:
            return []
        self._send_constants(stream)
        views = self._views.send([_view(geometry) for geometry in geometries], stream)
        while True:
            self._launch(layout, views.address, count, stream)
            counts = self._fetch(count, stream)
            if layout.probed:
                _require_right(counts, layout.probed, self._head, self._spec, self._classes)
            most = int(counts["found"].max())
            if most <= self._candidates.room:
                return [self._found(i, layout.per_row) for i in range(count)]
            logger.warning("head %s: candidate buffer grown from %d to %d", self._head, self._candidates.room, most)
            self._candidates.make_room(most)

    def close(self) -> None:
        """Frees all device memory. Idempotent."""
        for part in (self._views, self._candidates, self._min_score, self._allowed):
            part.close()
        for memory in (self._given_on_device, self._rows_on_device, self._points_on_device):
            if memory is not None:
                memory.free()
        for pinned in (self._given, self._rows, self._points):
            if pinned is not None:
                pinned.free()

    def _send_constants(self, stream: Any) -> None:
        if not self._constants_sent:
            classes = self._choice.classes or frozenset()
            self._min_score.send(self._scores, stream)
            self._allowed.send([i in classes for i in range(self._classes)], stream)
            self._constants_sent = True

    def _launch(self, layout: HeadLayout, views: int, count: int, stream: Any) -> None:
        candidates, choice = self._candidates, self._choice
        head = layout.head
        head["min_score"], head["least"] = self._min_score.buffer.address, self._least
        into = candidates.record(self._spec).tobytes()
        candidates.counts_on_device.fill(0, stream)
        if layout.threads:
            decode = self._kernels.function("detect", layout.kernel)
            grid = (blocks(layout.threads, BLOCK[0]), layout.blocks_down, count)
            decode.launch(grid, BLOCK, head.tobytes(), into, stream=stream)
            most = min(candidates.room, layout.candidates)
            self._rank.launch((blocks(most, BLOCK[0]), count, 1), BLOCK, into, stream=stream)
        by = record(
            SUPPRESSION,
            max_iou=choice.max_iou,
            views=views,
            allowed=self._allowed.buffer.address if choice.classes is not None else 0,
            kept=candidates.kept.address,
            given=self._given_on_device.address,
            detections=self._rows_on_device.address,
            points=self._points_on_device.address if self._points_on_device is not None else 0,
            by_class=choice.by_class,
            limit=choice.limit,
            min_size=choice.min_size,
            oriented=self._oriented,
        )
        self._suppress.launch((1, count, 1), SUPPRESS_BLOCK, into, by.tobytes(), stream=stream)

    def _fetch(self, count: int, stream: Any) -> NDArray[Any]:
        """Downloads the results of `count` images. Returns their structs `Counts`."""
        self._given_on_device.download(self._given.array, stream)
        self._rows_on_device.download(self._rows.array[:count], stream)
        if self._points is not None and self._points_on_device is not None:
            self._points_on_device.download(self._points.array[:count], stream)
        counts = self._candidates.fetch(stream)
        stream.synchronize()
        return counts[:count]

    def _found(self, picture: int, per_row: int) -> RawBoxes:
        rows = self._rows.array[picture, : self._given.array[picture]]
        points = None if self._points is None else self._points.array[picture, : len(rows)].copy()
        class_ids, numbers = rows["class_id"].astype(np.int64), rows["index"].astype(np.int64) // per_row
        return RawBoxes(rows["box"].copy(), rows["score"].copy(), class_ids, points, numbers)


def _require_right(counts: NDArray[Any], probed: int, head: str, spec: InputSpec, classes: int) -> None:
    """Raises HeadMismatchError if values are not those of the head, by the rules of the CPU path. `counts` are the
    structs `Counts` of all images, `probed` is the number of scores that were checked in each."""
    if number := int(counts["wrong_classes"].sum()):
        raise HeadMismatchError(
            f"head {head!r}: {number} of the model's classes are not among the {classes} labels: give a label for "
            "every class of the model, or choose another head"
        )
    if 2 * counts["no_numbers"].sum() > probed * len(counts):
        raise HeadMismatchError(f"head {head!r}: most of the model's scores are not numbers: {WRONG_HEAD}")
    if number := int(counts["wrong_scores"].sum()):
        raise HeadMismatchError(f"head {head!r}: {number} of the model's scores are not from 0 to 1: {WRONG_HEAD}")
    for boxes, wrong, beyond_corner in counts[["found", "wrong_boxes", "beyond_corner"]].tolist():
        if wrong_boxes(boxes, wrong):
            raise HeadMismatchError(
                f"head {head!r}: {wrong} of {boxes} boxes are inverted, outside the image or not numbers: {WRONG_HEAD}"
            )
        if not beyond_corner and only_in_corner(boxes, spec):
            raise HeadMismatchError(f"head {head!r}: all boxes are within {CORNER} pixels of the corner: {WRONG_HEAD}")


def _view(geometry: Geometry) -> NDArray[Any]:
    return record(
        VIEW,
        scale_x=geometry.scale_x,
        scale_y=geometry.scale_y,
        offset_x=geometry.offset_x,
        offset_y=geometry.offset_y,
        width=geometry.source_width,
        height=geometry.source_height,
    )
