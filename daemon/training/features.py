"""Computes a model trunk's features of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from sightd.daemon.training.softmax_regression import FloatTable
from sightd.engines.model import Model
from sightd.engines.onnx_head import FEATURES
from sightd.engines.onnx_session import OnnxRuntimeSession
from sightd.engines.preprocess import prepare
from sightd.plugins.classifier.parts import cut_out, part_of_picture
from sightd.plugins.types import Image

VIEWS = 4


def views_of(picture: Image, size: tuple[int, int]) -> list[Image]:
    """Returns the image cropped as the classifier plug-in does by default, and whole, each also mirrored."""
    height, width = picture.shape[:2]
    seen = [cut_out(picture, part_of_picture(width, height, area), size) for area in ("centre", "whole")]
    return [seen[0], seen[0][:, ::-1], seen[1], seen[1][:, ::-1]]


def features_of(
    pictures: Iterable[Image],
    trunk: Path,
    model: Model,
    threads: int,
    progress: Callable[[int], None] = lambda done: None,
) -> FloatTable:
    """Returns features float64 [images, VIEWS, n], in order; `trunk` is `model` without its last layer. `progress`
    counts images."""
    session = OnnxRuntimeSession(trunk, threads)
    size, found = (model.input.width, model.input.height), []
    try:
        for done, picture in enumerate(pictures, 1):
            tensor, _ = prepare(views_of(picture, size), model.input)
            runs = [tensor] if session.inputs[model.input.tensor].shape[0] is None else list(tensor[:, None])
            found.append(np.concatenate([session.run({model.input.tensor: run})[FEATURES] for run in runs]))
            progress(done)
    finally:
        session.close()
    return np.array(found, np.float64)
