"""The style model and the loss model in PyTorch, with weights from ONNX files. Images are RGB 0-1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional

from sightd.engines.convert.style_network import DOWN, EPSILON, RESIDUAL, UP, StyleLayer, enlarges, stride_of
from sightd.engines.convert.vgg import LayerWeights
from sightd.engines.spec import InputSpec

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
