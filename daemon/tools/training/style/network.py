"""The style model, the loss model and the loss in PyTorch, with weights from ONNX files. Images are RGB 0-1.

The loss is how far a stylised image is from the content of the original, and from the look of the painting.
Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks": the content is in the features of a deep
layer, the style in which features occur together (their Gram matrices). Johnson et al. 2016, "Perceptual Losses for
Real-Time Style Transfer", arXiv 1603.08155: a network learns to minimise both at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional

from sightd.engines.model import InputSpec
from sightd.engines.models.convert.style_network import DOWN, EPSILON, RESIDUAL, UP, StyleLayer, enlarges, stride_of
from sightd.engines.models.convert.vgg import LayerWeights

Tensor = Any


class TrainableStyle:
    """The model with a single style; `kernels`, `scales` and `shifts` have one tensor per layer."""

    def __init__(self, layers: Sequence[StyleLayer], row: int, device: str, *, whole: bool) -> None:
        """Starts from the style `row`. `whole`: all weights are trained; otherwise a scale and a shift per channel."""

        def tensor(values: Any, learnt: bool) -> Tensor:
            return torch.tensor(values, device=device, requires_grad=learnt)

        self.kernels = [tensor(layer.kernel, whole) for layer in layers]
        self.scales = [tensor(layer.scale[row], True) for layer in layers]
        self.shifts = [tensor(layer.shift[row], True) for layer in layers]
        self._whole = whole

    @property
    def learnt(self) -> list[Tensor]:
        """All tensors that training changes."""
        return [*self.scales, *self.shifts, *(self.kernels if self._whole else [])]

    def painted(self, pictures: Tensor) -> Tensor:
        """Returns images [b, 3, h, w] stylised, in the same shape; h and w must be multiples of 4."""
        x, n = pictures, 0
        for n in range(DOWN):
            x = functional.relu(self._layer(x, n))
        for n in range(DOWN, DOWN + 2 * RESIDUAL, 2):
            x = x + self._layer(functional.relu(self._layer(x, n)), n + 1)
        last = DOWN + 2 * RESIDUAL + UP - 1
        for n in range(last - UP + 1, last):
            x = functional.relu(self._layer(x, n))
        return torch.sigmoid(self._layer(x, last))

    def layers(self) -> list[StyleLayer]:
        """Returns the current weights, with the one style."""

        def array(tensor: Tensor) -> Any:
            return tensor.detach().cpu().numpy().copy()

        return [
            StyleLayer(array(kernel), array(scale)[None], array(shift)[None])
            for kernel, scale, shift in zip(self.kernels, self.scales, self.shifts, strict=True)
        ]

    def _layer(self, x: Tensor, n: int) -> Tensor:
        if enlarges(n):
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
        pad = self.kernels[n].shape[-1] // 2
        x = functional.conv2d(functional.pad(x, (pad,) * 4, mode="reflect"), self.kernels[n], stride=stride_of(n))
        x = functional.instance_norm(x, eps=EPSILON)
        return x * self.scales[n][None, :, None, None] + self.shifts[n][None, :, None, None]


class Trunk:
    """The first blocks of a model that was trained to classify."""

    def __init__(self, blocks: Sequence[Sequence[LayerWeights]], spec: InputSpec, device: str) -> None:
        self._blocks = [
            [(torch.tensor(kernel, device=device), torch.tensor(shift, device=device)) for kernel, shift in block]
            for block in blocks
        ]
        self._mean = torch.tensor(spec.mean, device=device)[None, :, None, None]

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Returns each block's output for images [b, 3, h, w]."""
        x, found = pictures.flip(1) * 255 - self._mean, list[Tensor]()
        for block in self._blocks:
            x = functional.max_pool2d(x, 2) if found else x
            for kernel, shift in block:
                x = functional.relu(functional.conv2d(x, kernel, shift, padding=1))
            found.append(x)
        return found


_SHOWS = 2
"""Index of the block whose features are the content: its last layer is relu3_3, as in Johnson et al."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Each is relative to its target, so that no layer and no painting counts more for being bright; `rough` is the
    mean difference between neighbouring pixels."""

    content: Tensor
    style: Tensor
    rough: Tensor


def grams(features: Sequence[Tensor]) -> list[Tensor]:
    """Returns, for each layer [b, c, h, w], the mean products of its channels [b, c, c]."""
    flat = [layer.flatten(2) for layer in features]
    return [layer @ layer.transpose(1, 2) / layer.shape[2] for layer in flat]


def loss_of(painted: Tensor, found: Sequence[Tensor], picture: Sequence[Tensor], example: Sequence[Tensor]) -> Loss:
    """Returns the loss of stylised images [b, 3, h, w] with the features `found`. `picture` are the features of the
    originals, `example` the Gram matrices of the painting, [1, c, c]."""
    shows, should = found[_SHOWS], picture[_SHOWS]
    content = ((shows - should) ** 2).mean() / (should**2).mean()
    pairs = zip(grams(found), example, strict=True)
    apart = [((one - other) ** 2).sum((1, 2)).mean() / (other**2).sum() for one, other in pairs]
    rough = (painted[:, :, 1:] - painted[:, :, :-1]).abs().mean() + (painted[..., 1:] - painted[..., :-1]).abs().mean()
    return Loss(content, torch.stack(apart).mean(), rough)
