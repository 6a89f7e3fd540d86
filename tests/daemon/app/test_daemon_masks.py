"""The whole daemon with a segmentation model: viewers get people pixelated by their mask, on every frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightd.plugins.api import Image
from tests.support.clips import write_film
from tests.support.daemon import DaemonProcess
from tests.support.exports import ultralytics, write_export
from tests.support.faulty_plugin import installed
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

WIDTH, HEIGHT = 480, 320
"""Of the frame: five times the model's input."""
PERSON = (slice(60, 260), slice(60, 115))
"""Rows and columns that the mask of the person covers: the left half of its box, which ends at 200."""
BESIDE = (slice(60, 260), slice(170, 198))
"""In the person's box, but outside the mask, its margin and the tiles that it touches."""
DOG = (slice(60, 260), slice(310, 440))
BARE = {"boxes": False, "labels": False, "scores": False, "masks": False, "status": False}


def texture() -> Image:
    """Returns an image that is brighter on the right, with details of four pixels, which survive encoding."""
    rough = np.random.default_rng(0).integers(0, 160, (HEIGHT // 4, WIDTH // 4), np.uint8)
    grey = cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST) + np.linspace(0, 90, WIDTH)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def segmentation(folder: Path) -> Path:
    """Writes a model that finds a person and a dog at the same places of every image, with masks: of the person's box
    only the left half."""
    rows = np.zeros((40, 4 + 2 + 32), np.float32)
    rows[0, :7] = (25, 32, 30, 44, 0.9, 0, 1)
    rows[1, :8] = (75, 32, 30, 44, 0, 0.9, 0, 1)
    planes = np.zeros((32, 16, 24), np.float32)
    planes[0] = np.where(np.arange(24) < 6, 4, -4)
    planes[1] = 4
    names = {0: "person", 1: "dog"}
    outputs = {"output0": np.ascontiguousarray(rows.T), "output1": planes}
    return write_export(folder / "best.onnx", outputs, metadata=ultralytics("segment", names))


def configuration(folder: Path, **more: Any) -> dict[str, Any]:
    film = write_film(folder / "texture.mp4", [texture()] * 20, fps=10, options={"crf": "10"})
    return {
        "cameras": {"door": {"source": str(film)}},
        "chain": ["detector"],
        "plugins": {"detector": {"model": str(segmentation(folder)), "redact": ["person"]}},
        "render": BARE,
        "rtsp": {"enabled": False},
        **more,
    }


def picture(daemon: DaemonProcess) -> Image | None:
    answer = daemon.get("/door.jpg")
    if answer.status_code != 200:
        return None
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def detail(image: Image, place: tuple[slice, slice]) -> float:
    """Returns how much of the texture's details is left at a place, 0 to 1."""

    def fine(of: Image) -> Any:
        grey = of[..., 1].astype(np.float32)
        return (grey - cv2.blur(grey, (9, 9)))[place]

    true, found = fine(texture()), fine(image)
    return float(np.sum(true * found) / np.sum(true * true))


def is_of_camera(image: Image) -> bool:
    """Whether it is no slate: a camera's image is brighter on the right, even as a mosaic."""
    columns = image.mean(axis=(0, 2))
    return image.shape[:2] == (HEIGHT, WIDTH) and columns[-80:].mean() > columns[:80].mean() + 40


def seen(daemon: DaemonProcess, enough: Callable[[list[Image]], bool]) -> list[Image]:
    """Returns what viewers get until it is enough, without the slate."""
    images: list[Image] = []

    def is_enough() -> bool:
        image = picture(daemon)
        if image is not None and is_of_camera(image):
            images.append(image)
        return bool(images) and enough(images)

    eventually(is_enough, 60)
    return images


def test_of_a_person_only_the_mask_is_pixelated_and_of_others_nothing(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, configuration(tmp_path)) as daemon:
        images = seen(daemon, lambda images: len(images) >= 8)
    assert all(detail(image, PERSON) < 0.25 for image in images), "from the very first frame on"
    assert detail(images[-1], BESIDE) > 0.7
    assert detail(images[-1], DOG) > 0.7


def test_it_stays_on_when_results_are_late(tmp_path: Path) -> None:
    """A plug-in after the detector hangs. The output waits in vain, has only predictions, and redacts all of the
    frame."""
    environ, orders = installed(tmp_path / "site"), tmp_path / "orders"
    settings: Mapping[str, Any] = configuration(tmp_path, chain=["detector", "faulty"])
    settings["plugins"]["faulty"] = {"orders": str(orders)}
    with DaemonProcess(tmp_path, settings, environ) as daemon:
        on_time = seen(daemon, lambda images: detail(images[-1], DOG) > 0.7)
        orders.write_text("hang")
        late = seen(daemon, lambda images: detail(images[-1], DOG) < 0.25)
    assert all(detail(image, PERSON) < 0.25 for image in on_time + late)
