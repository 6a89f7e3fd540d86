"""Scenes of 1920x1080 px made of the sample images: people of known size who walk, stand, come and go.

There is no sample film of a street at 1080p, so scenes are composed: backgrounds are frames of `bikes.mp4`, enlarged;
people are cut from photographs (GrabCut within a fixed rectangle), reduced to the wanted height and moved along
straight paths. Each frame gets sensor noise of 2 grey levels. People bob a little while they walk, and do not move
while they rest. Everything follows from fixed seeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.files import cache_directory
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore
from sightd.engines.progress import silent
from sightd.plugins.api import Frame, Image, Luma, LumaPlane

SIZE = (1920, 1080)
FPS = 25
_PEOPLE = (
    ("obama3.jpg", (0.17, 0.09, 0.83, 1.0), (1.0, 1.0, 1.0)),
    ("biden.jpg", (0.01, 0.04, 0.99, 1.0), (1.0, 1.0, 1.0)),
    ("obama3.jpg", (0.17, 0.09, 0.83, 1.0), (1.3, 1.8, 2.6)),
    ("biden.jpg", (0.01, 0.04, 0.99, 1.0), (2.4, 1.6, 1.2)),
)
"""Sample image, the rectangle around the person in it as fractions (left, top, right, bottom), and the factors of blue,
green and red that give their clothes another colour; those with one are mirrored."""
_CUT_HEIGHT = 400
_NOISE = 2.0


@dataclass(frozen=True, slots=True)
class Walk:
    """A person: index of the cutout, height in px, and (time s, x, y) of the feet at some moments, linear in between;
    absent before the first and after the last."""

    cutout: int
    height: int
    path: tuple[tuple[float, float, float], ...]

    def feet(self, at: float) -> tuple[float, float] | None:
        times, x, y = np.array(self.path).T
        if not times[0] <= at <= times[-1]:
            return None
        return float(np.interp(at, times, x)), float(np.interp(at, times, y))

    def moves(self, at: float) -> bool:
        return self.feet(at) != self.feet(at + 0.04)


@dataclass(frozen=True, slots=True)
class Scene:
    """`people` before a frame of the film (`background`: its index) for `seconds`."""

    name: str
    background: int
    seconds: float
    people: tuple[Walk, ...]

    def moments(self, fps: float) -> Iterator[tuple[float, Image]]:
        """Yields time and BGR image of the frames, `fps` a second."""
        background = _background(self.background)
        random = np.random.default_rng(5)
        noise = np.rint(random.normal(0, _NOISE, (SIZE[1] + 64, SIZE[0] + 64))).astype(np.int8)
        noise = np.repeat(noise[..., None], 3, axis=2)
        brighter, darker = np.maximum(noise, 0).view(np.uint8), np.maximum(-noise, 0).view(np.uint8)
        for number in range(round(self.seconds * fps)):
            at = number / fps
            image = background.copy()
            for walk in self.people:
                _put(image, walk, at)
            dx, dy = random.integers(0, 64, 2).tolist()
            window = slice(dy, dy + SIZE[1]), slice(dx, dx + SIZE[0])
            yield at, np.asarray(cv2.subtract(cv2.add(image, brighter[window]), darker[window]), np.uint8)

    def boxes(self, at: float) -> list[tuple[int, tuple[float, float, float, float]]]:
        """Returns index and box xyxy of everybody who is in the picture."""
        found = []
        for index, walk in enumerate(self.people):
            if (feet := walk.feet(at)) is not None:
                wide = walk.height * cutouts()[walk.cutout].shape[1] / _CUT_HEIGHT
                found.append((index, (feet[0] - wide / 2, feet[1] - walk.height, feet[0] + wide / 2, feet[1])))
        return found


def street(seed: int, count: int, seconds: float, background: int) -> Scene:
    """Returns a scene with `count` persons of 20 to 60 px height, and three of 150 to 400 px. Half of them walk all the
    time, the others come, rest for a while, and go on."""
    random = np.random.default_rng(seed)
    people = [_walk(random, random.uniform(20, 60), seconds) for _ in range(count)]
    people += [_walk(random, height, seconds) for height in (150, 250, 400)]
    return Scene(f"street of {count}", background, seconds, tuple(people))


def arrivals(seed: int, seconds: float, background: int) -> Scene:
    """Returns an empty street into which somebody of 30 to 120 px height steps every 4 s, from behind something, and
    stays for 2.5 s."""
    random = np.random.default_rng(seed)
    people = []
    for start in np.arange(6, seconds - 3, 4).tolist():
        height = int(random.uniform(30, 120))
        x, y = random.uniform(200, 1700), random.uniform(400, 1000)
        pace = random.uniform(-1, 1) * height
        people.append(Walk(int(random.integers(4)), height, ((start, x, y), (start + 2.5, x + 2.5 * pace, y))))
    return Scene("arrivals", background, seconds, tuple(people))


def still(seconds: float, background: int) -> Scene:
    """Returns a street in which four persons rest and nothing happens."""
    spots = ((30, 500, 620), (45, 900, 700), (58, 1300, 640), (220, 1600, 1000))
    people = tuple(Walk(index, height, ((0.0, x, y), (seconds, x, y))) for index, (height, x, y) in enumerate(spots))
    return Scene("still", background, seconds, people)


def _walk(random: np.random.Generator, height: float, seconds: float) -> Walk:
    y = float(random.uniform(max(380, height + 20), 1060))
    x = float(random.uniform(100, 1820))
    speed = float(random.choice([-1, 1]) * random.uniform(0.4, 1.0) * height)
    if random.random() < 0.5:
        return Walk(int(random.integers(4)), int(height), ((0.0, x, y), (seconds, x + speed * seconds, y)))
    rest, leave = sorted(random.uniform(0.1, 0.9, 2) * seconds)
    there = x + speed * rest
    path = ((0.0, x, y), (rest, there, y), (leave, there, y), (seconds, there + speed * (seconds - leave), y))
    return Walk(int(random.integers(4)), int(height), path)


def _put(image: Image, walk: Walk, at: float) -> None:
    feet = walk.feet(at)
    if feet is None:
        return
    person = _reduced(walk.cutout, walk.height)
    bob = np.sin(at * 9) * 0.02 * walk.height if walk.moves(at) else 0.0
    left, top = feet[0] - person.shape[1] / 2, feet[1] - person.shape[0] + bob
    column, row = int(np.floor(left)), int(np.floor(top))
    shifted = cv2.warpAffine(
        person,
        np.array([[1, 0, left - column], [0, 1, top - row]], np.float64),
        (person.shape[1] + 1, person.shape[0] + 1),
    )
    x1, y1 = max(column, 0), max(row, 0)
    x2, y2 = min(column + shifted.shape[1], SIZE[0]), min(row + shifted.shape[0], SIZE[1])
    if x2 <= x1 or y2 <= y1:
        return
    part = shifted[y1 - row : y2 - row, x1 - column : x2 - column]
    under = image[y1:y2, x1:x2].astype(np.float32)
    image[y1:y2, x1:x2] = np.rint(under + part[..., 3:] * (part[..., :3] - under))


@cache
def cutouts() -> tuple[NDArray[np.float32], ...]:
    """Returns the people, 400 px high: BGR 0-255 and cover 0-1, float32 [400, width, 4]."""
    return tuple(_cut(*person) for person in _PEOPLE)


def _cut(
    name: str, rectangle: tuple[float, float, float, float], tint: tuple[float, float, float]
) -> NDArray[np.float32]:
    image = np.asarray(cv2.imread(str(_sample(name))), np.uint8)
    height = 600
    image = np.asarray(cv2.resize(image, (round(image.shape[1] * height / image.shape[0]), height)), np.uint8)
    sides = np.array([image.shape[1], image.shape[0]] * 2)
    x1, y1, x2, y2 = (np.array(rectangle) * sides).astype(int).tolist()
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.setRNGSeed(1)
    box = (x1, y1, x2 - x1, y2 - y1 - 1)
    cv2.grabCut(image, mask, box, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_RECT)
    cover = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    soft = cv2.GaussianBlur(cover, (0, 0), 1.5)
    cut = np.dstack((image, soft)).astype(np.float32)[y1:y2, x1:x2]
    cut[..., :3] = np.minimum(cut[..., :3] * tint, 255)
    cut = cut if tint == (1.0, 1.0, 1.0) else cut[:, ::-1]
    return np.asarray(cv2.resize(cut, (round(cut.shape[1] * _CUT_HEIGHT / cut.shape[0]), _CUT_HEIGHT)), np.float32)


@cache
def _reduced(index: int, height: int) -> NDArray[np.float32]:
    cut = cutouts()[index]
    width = max(round(cut.shape[1] * height / _CUT_HEIGHT), 1)
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.float32)


@cache
def _background(index: int) -> Image:
    with av.open(str(_sample("bikes.mp4"))) as film:
        image = next(
            frame.to_ndarray(format="bgr24") for number, frame in enumerate(film.decode(video=0)) if number == index
        )
    wide = cv2.resize(image, (round(image.shape[1] * SIZE[1] / image.shape[0]), SIZE[1]), interpolation=cv2.INTER_CUBIC)
    left = (wide.shape[1] - SIZE[0]) // 2
    return np.asarray(wide[:, left : left + SIZE[0]], np.uint8)


def _sample(name: str) -> Path:
    store = SampleStore(cache_directory(os.environ) / "samples")
    return store.ensure(name, Fetcher(silent, default_mirror(os.environ)))


def as_yuv(image: Image) -> Image:
    """Returns a BGR image as YUV 4:2:0 (I420), uint8 [height * 3 / 2, width]."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)


def decoded(yuv: Image, camera: str, seq: int, at: float) -> Frame:
    """Returns a frame as a decoder delivers it: YUV 4:2:0, converted to BGR on first use."""

    def decode() -> Image:
        return np.asarray(cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR_I420), np.uint8)

    def luma() -> Luma:
        return yuv[: SIZE[1]]

    plane = LumaPlane(luma, (0.098, 0.504, 0.257, 16.0))
    return Frame(camera, seq, SIZE, decode, captured_at=at, wall_time=at, luma=plane)
