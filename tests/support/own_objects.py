"""A camera's scene with two objects that no published detector knows: parcels and cog wheels on a sample film.

Both are rendered with texture, in perspective, at many sizes, angles and brightnesses, sometimes half hidden behind a
post; plain boxes and rings that must not be found stand among them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.tools.media import Item, frames, sequences
from sightd.plugins.api import Image

LABELS = ("parcel", "cog")
_SIDE = 256
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sprite:
    """An object with its own transparency: BGR [h, w, 3] and alpha 0-1 [h, w]."""

    image: NDArray[np.float32]
    alpha: NDArray[np.float32]


def scene(film: Path, times: tuple[float, float], count: int, seed: int) -> list[tuple[float, Image, list[Any]]]:
    """Returns `count` frames of the film between two times in s, each with its time and a list of (label, x1, y1, x2,
    y2)."""
    (sequence,) = sequences(film)
    found = [item for item in frames(sequence) if isinstance(item, Item)]
    inside = [one for one in found if times[0] <= one.frame.captured_at < times[1]]
    picked = [inside[round(n * (len(inside) - 1) / max(1, count - 1))] for n in range(count)]
    random, made = np.random.default_rng(seed), []
    for one in picked:
        image, boxes = populated(one.frame.host(), random)
        made.append((one.frame.captured_at, image, boxes))
    return made


def write_coco(
    folder: Path, made: list[tuple[float, Image, list[Any]]], source: str, labels: Sequence[str] = LABELS
) -> Path:
    """Writes frames as JPEG files and a COCO file, and returns that file."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = list[Any](), list[Any]()
    for number, (time, image, boxes) in enumerate(made, 1):
        name = f"{number:04}.jpg"
        cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, 85])
        height, width = image.shape[:2]
        images.append(
            {"id": number, "file_name": name, "width": width, "height": height, "source": source, "time": time}
        )
        for label, x1, y1, x2, y2 in boxes:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                }
            )
    categories = [{"id": number, "name": label} for number, label in enumerate(labels)]
    path = folder / "labels.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def populated(background: Image, random: np.random.Generator) -> tuple[Image, list[Any]]:
    """Returns the image with up to four objects and some others, and the objects' boxes."""
    canvas, boxes = background.astype(np.float32), list[Any]()
    taken: list[tuple[float, ...]] = []
    for _ in range(int(random.integers(1, 3))):
        _paste(canvas, _decoy(random), _size(canvas, random), random, taken)
    for label in (0, 1):
        for _ in range(int(random.integers(0, 3))):
            sprite = parcel(random) if label == 0 else cog(random)
            box = _paste(canvas, sprite, _size(canvas, random), random, taken)
            if box is not None:
                boxes.append((label, *box))
    return np.clip(canvas, 0, 255).astype(np.uint8), boxes


def _size(canvas: NDArray[np.float32], random: np.random.Generator) -> int:
    low, high = 0.11 * canvas.shape[0], 0.42 * canvas.shape[0]
    return int(np.exp(random.uniform(np.log(low), np.log(high))))


def _paste(
    canvas: NDArray[np.float32],
    sprite: Sprite,
    size: int,
    random: np.random.Generator,
    taken: list[tuple[float, ...]],
) -> tuple[float, float, float, float] | None:
    """Blends the sprite into a free place, lit and blurred like the scene; returns its box, or None if there is no
    place."""
    rows, columns = np.where(sprite.alpha > 0.5)
    cut = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    height, width = sprite.alpha[cut].shape
    scale = size / max(height, width)
    new = max(4, round(width * scale)), max(4, round(height * scale))
    image = cv2.resize(sprite.image[cut], new, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(sprite.alpha[cut], new, interpolation=cv2.INTER_AREA)
    for _ in range(30):
        x, y = (
            int(random.integers(0, max(1, room - side))) for room, side in zip(canvas.shape[1::-1], new, strict=True)
        )
        box = (float(x), float(y), float(x + new[0]), float(y + new[1]))
        if all(_apart(box, other) for other in taken):
            break
    else:
        return None
    taken.append(box)
    light = random.uniform(0.45, 1.2) * (1 + random.uniform(-0.3, 0.3) * np.linspace(-1, 1, new[0])[None, :, None])
    image = cv2.GaussianBlur(image * light.astype(np.float32), (0, 0), random.uniform(0.3, 0.9))
    part = canvas[y : y + new[1], x : x + new[0]]
    part[...] = part * (1 - alpha[..., None]) + image * alpha[..., None]
    if random.random() < 0.25:  # a thin post in front
        left, wide = x + int(new[0] * random.uniform(0.2, 0.7)), max(2, new[0] // 8)
        canvas[max(0, y - 8) : y + new[1] + 8, left : left + wide] = random.uniform(40, 160)
    return box


def _apart(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[2] + 4 < b[0] or b[2] + 4 < a[0] or a[3] + 4 < b[1] or b[3] + 4 < a[1]


def parcel(random: np.random.Generator) -> Sprite:
    """A cardboard box with tape and a label, seen from any side and slightly above."""
    brown = np.array([110, 150, 185]) * random.uniform(0.85, 1.15)
    faces = [_cardboard(brown, random, label=n == 0) for n in range(3)]
    return _cuboid(faces, random)


def _cardboard(brown: NDArray[np.float64], random: np.random.Generator, *, label: bool) -> NDArray[np.float32]:
    face = np.full((64, 64, 3), brown) + random.normal(0, 6, (64, 64, 1))
    face[::8] *= 0.94
    face[:, 27:37] = brown * 0.62
    if label:
        face[6:30, 4:26] = 235
        for row in range(10, 28, 4):
            face[row : row + 2, 7 : int(random.integers(14, 24))] = 40
    return face.astype(np.float32)


def _cuboid(faces: list[NDArray[np.float32]], random: np.random.Generator) -> Sprite:
    sides = random.uniform(0.7, 1.1, 3)
    corners = (np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5) * sides
    yaw, pitch, roll = random.uniform(0.25, 1.3), random.uniform(0.25, 0.8), random.uniform(-0.25, 0.25)
    turned = corners @ (_turn(yaw, 0, 2) @ _turn(pitch, 1, 2) @ _turn(roll, 0, 1))
    flat = turned[:, :2] / (3 + turned[:, 2:]) * 2.2 * _SIDE / 2 + _SIDE / 2
    image, alpha = np.zeros((_SIDE, _SIDE, 3), np.float32), np.zeros((_SIDE, _SIDE), np.float32)
    quads = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
    near = sorted(quads, key=lambda quad: float(turned[list(quad), 2].mean()))[:3]
    for quad, face, shade in zip(near[::-1], faces[::-1], (0.6, 0.8, 1.0), strict=True):
        source = np.array([[0, 0], [63, 0], [63, 63], [0, 63]], np.float32)
        matrix = cv2.getPerspectiveTransform(source, flat[list(quad)].astype(np.float32))
        drawn = cv2.warpPerspective(face * shade, matrix, (_SIDE, _SIDE))
        cover = cv2.warpPerspective(np.ones((64, 64), np.float32), matrix, (_SIDE, _SIDE))
        image = image * (1 - cover[..., None]) + drawn * cover[..., None]
        alpha = np.maximum(alpha, cover)
    return Sprite(image, alpha)


def _turn(angle: float, one: int, other: int) -> Points:
    matrix = np.eye(3)
    matrix[one, one] = matrix[other, other] = np.cos(angle)
    matrix[one, other], matrix[other, one] = -np.sin(angle), np.sin(angle)
    return matrix


def cog(random: np.random.Generator) -> Sprite:
    """A steel cog wheel with teeth, spokes and a hub, seen from any side but the edge."""
    rows, columns = np.mgrid[:_SIDE, :_SIDE].astype(np.float64) - _SIDE / 2
    radius, angle = np.hypot(rows, columns) / (_SIDE / 2), np.arctan2(rows, columns)
    teeth = 0.84 + 0.13 * (np.sin(int(random.integers(10, 15)) * angle) > 0)
    spokes = np.abs(np.sin(angle * int(random.integers(4, 7)) / 2)) < 0.35
    solid = (radius < teeth) & ((radius > 0.62) | (radius < 0.28) | spokes) & (radius > 0.09)
    metal = 120 + 70 * np.sin(3 * angle + random.uniform(0, 6)) + random.normal(0, 8, radius.shape)
    image = np.stack([metal * 1.02, metal, metal * 0.96], -1).astype(np.float32)
    image[(radius > 0.6) & (radius < 0.66)] *= 0.6
    tilt = np.diag([1.0, random.uniform(0.55, 1.0)])
    turn = cv2.getRotationMatrix2D((0, 0), random.uniform(0, 180), 1)[:, :2]
    matrix = np.hstack((turn @ tilt * 0.9, [[_SIDE / 2], [_SIDE / 2]]))
    matrix[:, 2] -= matrix[:, :2] @ (_SIDE / 2, _SIDE / 2)
    size = (_SIDE, _SIDE)
    drawn, cover = (cv2.warpAffine(one, matrix, size) for one in (image, solid.astype(np.float32)))
    return Sprite(np.asarray(drawn, np.float32), np.asarray(cover, np.float32))


def _decoy(random: np.random.Generator) -> Sprite:
    """A plain box or a ring."""
    colour = random.uniform(40, 220, 3)
    if random.random() < 0.5:
        return _cuboid([np.full((64, 64, 3), colour, np.float32)] * 3, random)
    rows, columns = np.mgrid[:_SIDE, :_SIDE].astype(np.float64) - _SIDE / 2
    radius = np.hypot(rows, columns) / (_SIDE / 2)
    ring = ((radius < 0.95) & (radius > random.uniform(0.4, 0.75))).astype(np.float32)
    return Sprite(np.full((_SIDE, _SIDE, 3), colour, np.float32), ring)
