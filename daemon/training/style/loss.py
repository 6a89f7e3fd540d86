"""The loss: how far a stylised image is from the content of the original, and from the look of the painting.

Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks": the content is in the features of a deep
layer, the style in which features occur together (their Gram matrices). Johnson et al. 2016, "Perceptual Losses for
Real-Time Style Transfer", arXiv 1603.08155: a network learns to minimise both at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

Tensor = Any

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
