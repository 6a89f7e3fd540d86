"""Parcels and traffic cones in a real film of a fixed camera: exact boxes, but real background, light and compression.

What moves in the film hides the objects that stand behind it, objects hide one another, some are carried, turn, lie on
the ground or leave the frame; plain boxes and posts that must not be found are among them. The result is an H.264 film.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

LABELS = ("parcel", "cone")
_DECOY = -1
_SIDE = 160
_OBJECTS = 7
_VISIBLE = 0.3
"""Least visible share of an object that counts as labelled."""
_MOVES = 26
"""Least difference from the background, in grey levels, of what moves."""
_QUADS = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
_SHADES = (0.85, 0.55, 0.75, 0.75, 1.05, 0.5)

Array = NDArray[np.float32]
Labelled = list[tuple[int, float, float, float, float]]


@dataclass(frozen=True, slots=True)
class Person:
    """Height of a person whose feet are at the top and at the bottom of the frame, as shares of its height."""

    top: float
    bottom: float


@dataclass(frozen=True, slots=True, eq=False)
class _Thing:
    """`start` and `stop` are the points of its foot, as shares of the frame; `size` is a share of a person's height, as
    `lift`, how far above the ground it is carried. `spin` is in radians per frame."""

    label: int
    begin: int
    end: int
    start: NDArray[np.float64]
    stop: NDArray[np.float64]
    size: float
    lift: float
    faces: Sequence[Array]
    sides: NDArray[np.float64]
    yaw: float
    spin: float
    pitch: float
    upright: tuple[Array, Array] | None
    lying: float
    light: Array

    def foot(self, n: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        share = (n - self.begin) / (self.end - self.begin)
        return np.asarray((self.start + (self.stop - self.start) * share) * (shape[1], shape[0]), np.float64)

    def drawn(self, n: int) -> tuple[Array, Array]:
        """Returns image [h, w, 3] and alpha [h, w] at frame `n`, cut to what is visible."""
        sway = 0.12 * np.sin((n - self.begin) * 0.5) if self.lift else 0.0
        if self.upright is None:
            image, alpha = _cuboid(self.faces, self.sides, self.yaw + self.spin * (n - self.begin), self.pitch, sway)
        else:
            matrix = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), self.lying + float(np.degrees(sway)), 1)
            image, alpha = (_array(cv2.warpAffine(one, matrix, (_SIDE, _SIDE))) for one in self.upright)
        rows, columns = np.where(alpha > 0.5)
        cut = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        return image[cut], alpha[cut]


def _thing(random: np.random.Generator, at: int, fps: float) -> _Thing:
    label = int(random.choice([0, 0, 0, 1, 1, 1, _DECOY, _DECOY]))
    rests = random.random() < 0.4
    start = np.array([random.uniform(0.03, 0.97), random.uniform(0.22, 0.98)])
    way = np.zeros(2) if rests else np.array([random.uniform(-0.6, 0.6), random.uniform(-0.25, 0.25)])
    boxy = label == 0 or (label == _DECOY and random.random() < 0.6)
    faces = [_cardboard(random, label=n in (1, 4)) for n in range(6)] if label == 0 else [_plain(random)] * 6
    return _Thing(
        label, at, at + int(random.uniform(4, 12) * fps), start, np.clip(start + way, (-0.05, 0.18), 1.05),
        random.uniform(0.28, 0.5), 0.0 if rests else random.uniform(0, 0.2), faces, random.uniform(0.7, 1.1, 3),
        random.uniform(0, 6.28), 0.0 if rests else random.uniform(-1.2, 1.2) / fps, random.uniform(0.25, 0.7),
        None if boxy else _cone(random, striped=label == 1),
        float(random.choice([0, 0, 0, 0, 90, -90])) if label == 1 else 0.0,
        _array(random.uniform(0.5, 1.1) * (1 + random.uniform(-0.3, 0.3) * np.linspace(-1, 1, 64))),
    )  # fmt: skip


def _cardboard(random: np.random.Generator, *, label: bool) -> Array:
    brown = np.array([110, 150, 185]) * random.uniform(0.75, 1.1)
    face = np.full((64, 64, 3), brown) + random.normal(0, 8, (64, 64, 1)) + _stains(random)
    face[:, 27:37] = brown * 0.62
    if label:
        face[6:30, 4:26] = 225
        for row in range(10, 28, 4):
            face[row : row + 2, 7 : int(random.integers(14, 24))] = 40
    return _array(face)


def _plain(random: np.random.Generator) -> Array:
    return _array(np.full((64, 64, 3), random.uniform(50, 190) * random.uniform(0.85, 1.15, 3)) + _stains(random))


def _stains(random: np.random.Generator) -> Array:
    return _array(cv2.resize(random.normal(0, 12, (5, 5)), (64, 64), interpolation=cv2.INTER_CUBIC)[..., None])


def _cuboid(
    faces: Sequence[Array], sides: NDArray[np.float64], yaw: float, pitch: float, roll: float
) -> tuple[Array, Array]:
    corners = (np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5) * sides
    turned = corners @ (_turn(yaw, 0, 2) @ _turn(pitch, 1, 2) @ _turn(roll, 0, 1))
    flat = _array(turned[:, :2] / (4 + turned[:, 2:]) * 1.3 * _SIDE + _SIDE / 2)
    image, alpha = np.zeros((_SIDE, _SIDE, 3), np.float32), np.zeros((_SIDE, _SIDE), np.float32)
    corner = np.array([[0, 0], [63, 0], [63, 63], [0, 63]], np.float32)
    nearest = sorted(range(6), key=lambda n: float(turned[list(_QUADS[n]), 2].mean()))[:3]
    for n in reversed(nearest):
        matrix = cv2.getPerspectiveTransform(corner, flat[list(_QUADS[n])])
        drawn = cv2.warpPerspective(faces[n] * _SHADES[n], matrix, (_SIDE, _SIDE))
        cover = cv2.warpPerspective(np.ones((64, 64), np.float32), matrix, (_SIDE, _SIDE))
        image, alpha = _array(image * (1 - cover[..., None]) + drawn * cover[..., None]), np.maximum(alpha, cover)
    return image, alpha


def _turn(angle: float, one: int, other: int) -> NDArray[np.float64]:
    matrix = np.eye(3)
    matrix[one, one] = matrix[other, other] = np.cos(angle)
    matrix[one, other], matrix[other, one] = -np.sin(angle), np.sin(angle)
    return matrix


def _cone(random: np.random.Generator, *, striped: bool) -> tuple[Array, Array]:
    """A faded orange cone with two white stripes and a foot or, without stripes, a plain post."""
    x, y = np.arange(_SIDE)[None] - _SIDE / 2, np.arange(_SIDE)[:, None]
    down = (y - 10) / (_SIDE - 40)
    half = (0.05 + 0.22 * np.clip(down, 0, 1)) * _SIDE if striped else np.full(y.shape, 0.13 * _SIDE)
    body = (np.abs(x) < half) & (down >= 0) & (down <= 1)
    light = (1 - 0.45 * np.abs(x / np.maximum(half, 1) + 0.35))[..., None]
    orange = np.array([60, 95, 215]) * random.uniform(0.6, 0.95)
    colour = orange * 0.75 + orange.mean() * 0.25 if striped else np.full(3, random.uniform(60, 180))
    image = np.where(body[..., None], light * colour, 0.0)
    if striped:
        foot = np.zeros((_SIDE, _SIDE), np.uint8)
        shape = np.array([[0.16, 0.8], [0.84, 0.8], [0.93, 0.91], [0.07, 0.91]]) * _SIDE
        cv2.fillConvexPoly(foot, shape.astype(np.int32), 1)
        image[(foot > 0) & ~body] = colour * 0.55
        stripes = ((down > 0.28) & (down < 0.46)) | ((down > 0.62) & (down < 0.8))
        image = np.where((body & stripes)[..., None], light * random.uniform(165, 215), image)
        body = body | (foot > 0)
    image += random.normal(0, 7, (_SIDE, _SIDE, 1))
    return _array(image), _array(cv2.GaussianBlur(body.astype(np.float32), (0, 0), 0.7))


def compose(source: Path, target: Path, person: Person, seed: int) -> tuple[list[Labelled], float]:
    """Writes the film `target` and returns the boxes of each frame, and its frames per second."""
    random = np.random.default_rng(seed)
    every = [image for n, image in enumerate(_frames(source)) if n % 16 == 0]
    background = np.median(np.stack(every), 0).astype(np.int16)
    with av.open(str(source)) as film:
        fps = float(film.streams.video[0].average_rate or 25)
    boxes: list[Labelled] = []
    things: list[_Thing] = []
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = background.shape[0], background.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "26", "preset": "fast"}
        for n, image in enumerate(_frames(source)):
            things = [one for one in things if one.end > n]
            if len(things) < _OBJECTS and random.random() < 0.7:
                things.append(_thing(random, n, fps))
            made, found = _populated(image, background, things, n, random, person)
            boxes.append(found)
            frame = av.VideoFrame.from_ndarray(made, format="bgr24")
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return boxes, fps


def picked(
    film: Path, boxes: Sequence[Labelled], fps: float, span: tuple[float, float], count: int
) -> list[tuple[float, NDArray[np.uint8], Labelled]]:
    """Returns `count` frames of a part of the film, given as shares of it, each with its time in s and its boxes."""
    wanted = {round(float(one) * (len(boxes) - 1)) for one in np.linspace(*span, count)}
    return [(n / fps, image, boxes[n]) for n, image in enumerate(_frames(film)) if n in wanted]


def _frames(film: Path) -> Iterator[NDArray[np.uint8]]:
    with av.open(str(film)) as opened:
        for frame in opened.decode(video=0):
            yield frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)


def _populated(
    image: NDArray[np.uint8],
    background: NDArray[np.int16],
    things: Sequence[_Thing],
    n: int,
    random: np.random.Generator,
    person: Person,
) -> tuple[NDArray[np.uint8], Labelled]:
    depth, canvas = _depth(image, background), image.astype(np.float32)
    owner = np.full(depth.shape, -1)
    drawn: list[tuple[int, int, int, tuple[float, float, float, float]]] = []
    for key, one in sorted(enumerate(things), key=lambda pair: float(pair[1].foot(n, image.shape)[1])):
        placed = _placed(canvas, owner, depth, one, key, n, random, person)
        if placed is not None:
            drawn.append((key, one.label, *placed))
    found = [
        (label, *box)
        for key, label, whole, box in drawn
        if label != _DECOY and (owner == key).sum() >= _VISIBLE * whole
    ]
    return np.clip(canvas, 0, 255).astype(np.uint8), found


def _depth(image: NDArray[np.uint8], background: NDArray[np.int16]) -> NDArray[np.int64]:
    """Returns for each pixel the row on which what moves there stands, 0 for the background."""
    moves = (np.abs(image.astype(np.int16) - background).max(-1) > _MOVES).astype(np.uint8)
    clean = cv2.morphologyEx(moves, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    clean = cv2.morphologyEx(clean, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(clean)
    rows = (stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT]) * (stats[:, cv2.CC_STAT_AREA] >= 40)
    rows[0] = 0
    return np.asarray(rows[parts], np.int64)


def _placed(
    canvas: Array,
    owner: NDArray[np.int64],
    depth: NDArray[np.int64],
    thing: _Thing,
    key: int,
    n: int,
    random: np.random.Generator,
    person: Person,
) -> tuple[int, tuple[float, float, float, float]] | None:
    """Blends the object in behind what stands nearer; returns its whole number of pixels and its box within the
    frame."""
    height, width = depth.shape
    foot = thing.foot(n, depth.shape)
    tall = person.top * height + (person.bottom - person.top) * foot[1]
    image, alpha = thing.drawn(n)
    scale = thing.size * tall / max(alpha.shape)
    size = max(4, round(alpha.shape[1] * scale)), max(4, round(alpha.shape[0] * scale))
    image, alpha = (_array(cv2.resize(one, size, interpolation=cv2.INTER_AREA)) for one in (image, alpha))
    light = cv2.resize(thing.light[None], (size[0], 1))
    image = _array(cv2.GaussianBlur(image * light[..., None], (0, 0), 0.6) + random.normal(0, 2.5, image.shape))
    x, y = round(foot[0] - size[0] / 2), round(foot[1] - size[1] - thing.lift * tall)
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + size[0]), min(height, y + size[1])
    if right - left < 4 or bottom - top < 4:
        return None
    if not thing.lift:
        _cast_shadow(canvas, depth, foot, size)
    part, inner = (slice(top, bottom), slice(left, right)), (slice(top - y, bottom - y), slice(left - x, right - x))
    seen = alpha[inner] * (depth[part] <= foot[1])
    canvas[part] = canvas[part] * (1 - seen[..., None]) + image[inner] * seen[..., None]
    owner[part][seen > 0.5] = key
    return int((alpha > 0.5).sum()), (float(left), float(top), float(right), float(bottom))


def _cast_shadow(canvas: Array, depth: NDArray[np.int64], foot: NDArray[np.float64], size: tuple[int, int]) -> None:
    shadow = np.zeros(depth.shape, np.float32)
    middle = int(foot[0]), min(depth.shape[0] - 1, int(foot[1]) - 1)
    cv2.ellipse(shadow, middle, (size[0] // 2 + 2, max(1, size[0] // 8)), 0, 0, 360, 1, -1)
    canvas *= 1 - 0.4 * (cv2.GaussianBlur(shadow, (0, 0), 1.5) * (depth <= foot[1]))[..., None]


def _array(values: NDArray[np.generic]) -> Array:
    return np.asarray(values, np.float32)
