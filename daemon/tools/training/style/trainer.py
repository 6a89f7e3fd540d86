"""The settings and steps of a style's training, and the state needed to resume it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sightd.daemon.tools.training.images import squares
from sightd.daemon.tools.training.preflight import TrainingError
from sightd.daemon.tools.training.style.network import TrainableStyle, Trunk, grams, loss_of
from sightd.plugins.api import Image


@dataclass(frozen=True, slots=True)
class Plan:
    """`whole`: all weights of the model are trained, for one style only; otherwise a new style's scales and shifts.

    Each of `steps` uses `batch` squares of `side` pixels. `rate` is Adam's learning rate; it falls to a tenth by the
    end. `likeness` is the weight of the style loss against the content loss. `scale` is the painting's size relative to
    the squares: a larger one makes its strokes coarser.
    """

    steps: int
    side: int
    batch: int
    rate: float
    likeness: float
    scale: float
    whole: bool
    seed: int = 0

    @classmethod
    def of_row(cls, steps: int | None, side: int | None, likeness: float, scale: float) -> Plan:
        """Returns the plan for one new style, which takes minutes on two processor cores. Dumoulin et al. 2017 (section
        3.2) found that scales and shifts suffice for a model that already knows other styles."""
        return cls(steps or 300, side or 192, 1, 5e-2, likeness, scale, whole=False)

    @classmethod
    def of_all(cls, steps: int | None, side: int | None, likeness: float, scale: float) -> Plan:
        """Returns the plan for a separate model, which needs a GPU to be practical."""
        return cls(steps or 20_000, side or 256, 4, 1e-3, likeness, scale, whole=True)

    def rate_at(self, step: int) -> float:
        return self.rate * (1 - 0.9 * step / self.steps)


Tensor = Any
State = Mapping[str, NDArray[Any]]

_SMOOTH = 0.1
"""Weight of the difference between neighbouring pixels: prevents a raster that would be hard to encode."""
_DECAY = (0.9, 0.999)
_LEAST, _MOST = 32, 3000
"""Allowed sides of the scaled painting, in pixels."""


@dataclass(frozen=True, slots=True)
class Distances:
    """The losses of one step: content and style."""

    content: float
    style: float


class Trainer:
    """Trains a style with Adam. Used by one thread."""

    def __init__(
        self, style: TrainableStyle, trunk: Trunk, painting: Image, pictures: Sequence[Image], plan: Plan, device: str
    ) -> None:
        """`painting` BGR; squares are cut from `pictures`, BGR."""
        self._style, self._trunk, self._pictures, self._plan, self._device = style, trunk, pictures, plan, device
        self._example = example_of(trunk, painting, plan, device)
        self._adam = torch.optim.Adam(style.learnt, lr=plan.rate, betas=_DECAY)
        self.step = 0
        """Number of steps done."""

    def advance(self) -> Distances:
        """Does one step. Its input depends only on the plan, the images and the step's number."""
        plan = self._plan
        cut = squares(self._pictures, plan.side, plan.batch, (plan.seed, self.step))
        pictures = to_tensor(cut, self._device)
        for group in self._adam.param_groups:
            group["lr"] = plan.rate_at(self.step)
        painted = self._style.painted(pictures)
        with torch.no_grad():
            should = self._trunk.features(pictures)
        loss = loss_of(painted, self._trunk.features(painted), should, self._example)
        self._adam.zero_grad()
        (loss.content + plan.likeness * loss.style + _SMOOTH * loss.rough).backward()
        self._adam.step()
        self.step += 1
        return Distances(loss.content.item(), loss.style.item())

    def painted(self, pictures: Sequence[Image]) -> list[Image]:
        """Returns images (BGR, sides multiples of 4) in the current style."""
        with torch.no_grad():
            return [to_image(self._style.painted(to_tensor([one], self._device))) for one in pictures]

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns everything that `restore` needs."""
        found: dict[str, NDArray[Any]] = {"step": np.array(self.step)}
        for n, tensor in enumerate(self._style.learnt):
            moments = self._adam.state.get(tensor, {})
            found[f"value-{n}"] = _array(tensor)
            for name in ("exp_avg", "exp_avg_sq"):
                found[f"{name}-{n}"] = _array(moments[name]) if moments else np.zeros_like(found[f"value-{n}"])
        return found

    def restore(self, state: State) -> None:
        """Resumes where `state` was taken. Raises KeyError or ValueError if it belongs to another training."""
        step = int(state["step"])
        for n, tensor in enumerate(self._style.learnt):
            values = {name: state[f"{name}-{n}"] for name in ("value", "exp_avg", "exp_avg_sq")}
            if any(value.shape != tuple(tensor.shape) for value in values.values()):
                raise ValueError("its weights have different shapes")
            value, *moments = (torch.tensor(one, device=self._device) for one in values.values())
            tensor.data.copy_(value)
            self._adam.state[tensor] = {
                "step": torch.tensor(float(step)),
                "exp_avg": moments[0],
                "exp_avg_sq": moments[1],
            }
        self.step = step


def example_of(trunk: Trunk, painting: Image, plan: Plan, device: str) -> list[Tensor]:
    """Returns the painting's Gram matrices, at the size that the plan sets. Raises TrainingError if that size is not
    allowed."""
    height, width = painting.shape[:2]
    ratio = plan.side * plan.scale / min(height, width)
    size = round(width * ratio), round(height * ratio)
    if min(size) < _LEAST or max(size) > _MOST:
        raise TrainingError(
            f"the painting would be scaled to {size[0]}x{size[1]} pixels, but each side must have "
            f"{_LEAST} to {_MOST}: use another --scale, or a less narrow part of the painting"
        )
    seen = cv2.resize(painting, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    with torch.no_grad():
        return grams(trunk.features(to_tensor([np.asarray(seen, np.uint8)], device)))


def nearest_style(
    styles: Sequence[TrainableStyle], trunk: Trunk, example: Sequence[Tensor], pictures: Sequence[Image], device: str
) -> int:
    """Returns the index of the style most like the example: a good start is half the training."""
    batch = to_tensor(pictures, device)
    with torch.no_grad():
        should = trunk.features(batch)
        distances = []
        for style in styles:
            painted = style.painted(batch)
            distances.append(loss_of(painted, trunk.features(painted), should, example).style.item())
    return int(np.argmin(distances))


def to_tensor(pictures: Sequence[Image], device: str) -> Tensor:
    """Converts BGR uint8 images of one size to RGB 0-1 [b, 3, h, w]."""
    planes = np.stack([picture[:, :, ::-1].transpose(2, 0, 1) for picture in pictures])
    return torch.tensor(planes.astype(np.float32) / 255, device=device)


def to_image(picture: Tensor) -> Image:
    """Converts RGB 0-1 [1, 3, h, w] to a BGR uint8 image."""
    planes = picture[0].cpu().numpy()
    return np.ascontiguousarray(np.rint(planes.transpose(1, 2, 0)[:, :, ::-1] * 255), np.uint8)


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.asarray(tensor.detach().cpu().numpy()).copy()
