"""Checks the kernels that create or change images against the CPU path, on the GPU itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.gpu.desk import Desk, noise
from bench.gpu.row import Row, within
from sightd.daemon.render.text import rounded
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.launch.drawing import Hide, Mark, Mask, Outline, OverlayKernel
from sightd.engines.cuda.launch.faces import FaceCrop
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.preprocess import Preprocess
from sightd.engines.cuda.launch.resize import Resize as Resizing
from sightd.engines.cuda.launch.style import Finish, Paint, Style
from sightd.engines.geometry import ARCFACE, similarity
from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.engines.preprocess import prepare

_MOST, _MEAN = 2.0, 0.3
_AIM = "2/255 at the most, 0.3/255 in the mean"
_SIZE = (322, 178)
_SPEC = InputSpec("images", 160, 96, ColourOrder.RGB, Resize.LETTERBOX_CENTRE)
_FACES = InputSpec("data", 112, 112, ColourOrder.RGB, Resize.STRETCH)


def rows(gpu: Gpu) -> list[Row]:
    checks = (preprocess, preprocess_nv12, face_crop, style, paint, resize, shrink, overlay, pixelate)
    found = []
    for check in checks:
        with Desk(gpu) as desk:
            found += check(desk)
    return found


def preprocess(desk: Desk) -> list[Row]:
    images = [noise(*_SIZE, seed) for seed in range(3)]
    expected, _ = prepare(images, _SPEC)
    found = []
    for dtype in (np.float32, np.float16):
        pictures = [desk.bgr(image)[0] for image in images]
        found.append(_compared(f"preprocess BGR {np.dtype(dtype)}", _fed(desk, pictures, dtype), expected))
    spec, raw = replace(_SPEC, nhwc=True), np.dtype(np.uint8)
    pictures = [desk.bgr(image)[0] for image in images]
    expected, _ = prepare(images, spec, raw)
    return [*found, _compared("preprocess BGR uint8, colours last", _fed(desk, pictures, raw, spec), expected)]


def preprocess_nv12(desk: Desk) -> list[Row]:
    picture, buffer = desk.nv12(noise(*_SIZE))
    width, height = _SIZE
    planes = desk.get(buffer, (height * 3 // 2, width), np.uint8)
    image = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_NV12), np.uint8)
    expected, _ = prepare([image], _SPEC)
    return [_compared("preprocess NV12 float32", _fed(desk, [picture], np.float32), expected)]


def face_crop(desk: Desk) -> list[Row]:
    image = noise(*_SIZE)
    points = (ARCFACE * 1.3 + [60, 15] + np.random.default_rng(1).normal(0, 1, (5, 2))).astype(np.float32)
    warp = cv2.warpAffine(image, similarity(points, ARCFACE), (112, 112), flags=cv2.INTER_LINEAR)
    tensor = desk.take(3 * 112 * 112 * 4)
    crop = FaceCrop(desk.device, desk.kernels, _FACES, 1, np.dtype(np.float32))
    desk.callback(crop.close)
    crop.launch([(desk.bgr(image)[0], points)], tensor, desk.stream)
    found = desk.get(tensor, (3, 112, 112), np.float32)
    return [_compared("face crop", found, np.asarray(warp)[:, :, ::-1].transpose(2, 0, 1))]


def style(desk: Desk) -> list[Row]:
    planes = np.random.default_rng(2).normal(0.5, 0.3, (1, 3, 96, 160)).astype(np.float32)
    image = np.clip(np.rint(planes[0].transpose(1, 2, 0)[:, :, ::-1] * np.float32(255)), 0, 255).astype(np.uint8)
    expected = cv2.resize(np.ascontiguousarray(image), _SIZE, interpolation=cv2.INTER_LINEAR)
    frame, buffer = desk.bgr(np.zeros((_SIZE[1], _SIZE[0], 3), np.uint8))
    tensor = DeviceTensor(desk.put(planes).address, planes.shape, planes.dtype)
    launcher = Style(desk.device, desk.kernels, 1, ColourOrder.RGB)
    desk.callback(launcher.close)
    launcher.launch(tensor, [frame], desk.stream)
    return [_compared("style output to BGR", desk.get(buffer, expected.shape, np.uint8), np.asarray(expected))]


def resize(desk: Desk) -> list[Row]:
    """Checks the resizing of frames for display: by way of BGR, so that the result has the encoder's colours."""
    (source, buffer), (target, written) = desk.nv12(noise(*_SIZE)), desk.nv12(noise(214, 118, 1))
    width, height = _SIZE
    planes = desk.get(buffer, (height * 3 // 2, width), np.uint8)
    image = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_NV12), np.uint8)
    smaller = cv2.resize(image, (214, 118), interpolation=cv2.INTER_LINEAR)
    expected = np.asarray(cv2.cvtColor(smaller, cv2.COLOR_BGR2YUV_I420), np.uint8)
    launcher = Resizing(desk.device, desk.kernels, 1)
    desk.callback(launcher.close)
    launcher.launch([(source, target)], desk.stream)
    luma = desk.get(written, (177, 214), np.uint8)[:118]
    return [_compared("resize NV12, luma", luma, expected[:118])]


def shrink(desk: Desk) -> list[Row]:
    """Checks the shrinking of a frame to the input image of a style model."""
    image, small = noise(640, 360), (160, 90)
    frame, buffer = desk.bgr(np.zeros((small[1], small[0], 3), np.uint8))
    launcher = Resizing(desk.device, desk.kernels, 1, means=True)
    desk.callback(launcher.close)
    launcher.launch([(desk.bgr(image)[0], frame)], desk.stream)
    expected = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    return [_compared("means of pixels, BGR", desk.get(buffer, expected.shape, np.uint8), expected)]


def paint(desk: Desk) -> list[Row]:
    """Checks strokes enlarged to the image's size, over its grey values."""
    image, (width, height) = noise(*_SIZE), (64, 40)
    noisy = np.random.default_rng(4).normal(0, 1, (height, width, 6))
    planes = (noisy * [0.3, 0.3, 0.3, 40, 40, 40] + [0, 0, 0, 90, 90, 90]).astype(np.float32)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)[:, :, None]
    slope, offset = (cv2.resize(np.ascontiguousarray(part), _SIZE) for part in (planes[..., :3], planes[..., 3:]))
    expected = np.clip(np.rint(slope * grey + offset), 0, 255).astype(np.uint8)
    frame, buffer = desk.bgr(np.zeros_like(image))
    launcher = Paint(desk.device, desk.kernels, 1)
    desk.callback(launcher.close)
    address = desk.put(planes).address
    launcher.launch([(desk.bgr(image)[0], frame)], address, (width, height), Finish(), desk.stream)
    return [_compared("painting to BGR", desk.get(buffer, expected.shape, np.uint8), expected)]


def overlay(desk: Desk) -> list[Row]:
    image, (left, top, right, bottom), colour = noise(*_SIZE), (20, 10, 200, 90), (40, 200, 90)
    expected = image.astype(np.float64)
    width, height = right - left, bottom - top
    line = rounded(width, height, 6.0) - rounded(width, height, 3.0, 3.0)
    letters = np.random.default_rng(3).integers(0, 256, (height, width), np.uint8)
    inside = expected[top:bottom, left:right]
    for cover in (line, letters / 255):
        inside[...] = inside * (1 - cover[:, :, None]) + cover[:, :, None] * np.array(colour)
    launcher = OverlayKernel(desk.device, desk.kernels, 1)
    desk.callback(launcher.close)
    frame, buffer = desk.bgr(image)
    marks: list[Mark] = [Outline((left, top, right, bottom), colour, 3.0, 6.0), Mask(left, top, letters, colour)]
    launcher.launch([(frame, marks)], desk.stream)
    return [_compared("overlay on BGR", desk.get(buffer, image.shape, np.uint8), expected)]


def pixelate(desk: Desk) -> list[Row]:
    image, cell = noise(320, 176), 16
    expected = image.astype(np.float64)
    cells = expected[32:96, 64:192].reshape(4, cell, 8, cell, 3)
    cells[...] = cells.mean(axis=(1, 3), keepdims=True)
    expected[32:96, 64:192] = cells.reshape(64, 128, 3)
    launcher = Hide(desk.device, desk.kernels, 1)
    desk.callback(launcher.close)
    frame, buffer = desk.bgr(image)
    launcher.launch([(frame, [(64, 32, 192, 96)])], cell, desk.stream)
    return [_compared("pixelate on BGR", desk.get(buffer, image.shape, np.uint8), expected)]


def _fed(desk: Desk, pictures: list[Any], dtype: Any, spec: InputSpec = _SPEC) -> NDArray[Any]:
    shape = spec.shape(len(pictures))
    tensor = desk.take(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    launcher = Preprocess(desk.device, desk.kernels, spec, len(pictures), np.dtype(dtype))
    desk.callback(launcher.close)
    launcher.launch(pictures, tensor, desk.stream)
    return desk.get(tensor, shape, dtype)


def _compared(what: str, found: NDArray[Any], expected: NDArray[Any]) -> Row:
    difference = np.abs(found.astype(np.float64) - expected)
    most, mean = float(difference.max()), float(difference.mean())
    kept = most <= _MOST and mean <= _MEAN  # false for NaN
    return within(f"{what} against the CPU", f"{most:.2f} at the most, {mean:.4f} in the mean", _AIM, kept)
