"""The training objective of YOLOX: which cells answer for which object, and how wrong they are.

Ge et al. 2021, "YOLOX", arXiv 2107.08430, section 2 ("SimOTA"): each object is assigned to the k cells near its centre
whose predictions cost least, where k is the sum of the ten best overlaps with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional

Tensor = Any

_RADIUS = 2.5
"""Cells whose centre is at most this many strides from an object's centre may answer for it."""
_BEST = 10
_BOX_COST, _BOX_WEIGHT = 3.0, 5.0
_FAR = 1e5
_WIDEST = 8.0
"""Upper limit for the argument of exp(): 3,000 strides."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of all grids in the order of head "yolox": xy [n, 2] in cells, stride [n, 1] in pixels."""

    xy: Tensor
    stride: Tensor

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]], strides: Sequence[int], device: str) -> Cells:
        """`sizes` are height and width of each grid."""
        xy, stride = [], []
        for (height, width), step in zip(sizes, strides, strict=True):
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            xy.append(torch.stack((columns.flatten(), rows.flatten()), 1).float())
            stride.append(torch.full((height * width, 1), float(step)))
        return cls(torch.cat(xy).to(device), torch.cat(stride).to(device))

    @property
    def centres(self) -> Tensor:
        return (self.xy + 0.5) * self.stride

    def boxes(self, raw: Tensor) -> Tensor:
        """Decodes raw predictions [..., n, 4] to x1, y1, x2, y2 in pixels."""
        centre = (raw[..., :2] + self.xy) * self.stride
        half = torch.exp(raw[..., 2:4].clamp(max=_WIDEST)) * self.stride / 2
        return torch.cat((centre - half, centre + half), -1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Returns the intersection over union [n, m] of boxes [n, 4] and [m, 4]."""
    low, high = torch.maximum(a[:, None, :2], b[None, :, :2]), torch.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (_area(a)[:, None] + _area(b)[None] - shared).clamp(min=1e-9)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def assign(
    rows: Tensor, boxes: Tensor, cells: Cells, objects: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the indices of the cells that answer, the object of each, and their overlap with it.

    `rows` [n, 5 + c] are raw predictions and `boxes` [n, 4] those decoded; `objects` [m, 4] and `classes` [m] are the
    truth. A cell that is best for several objects answers for the one that costs least.
    """
    centres = cells.centres
    inside = ((centres[None] > objects[:, None, :2]) & (centres[None] < objects[:, None, 2:])).all(-1)
    middle = (objects[:, :2] + objects[:, 2:]) / 2
    near = ((centres[None] - middle[:, None]).abs() < _RADIUS * cells.stride[None]).all(-1)
    candidates = (inside | near).any(0).nonzero()[:, 0]
    overlap = pairwise_iou(objects, boxes[candidates])
    score = (rows[candidates, 5:].sigmoid() * rows[candidates, 4:5].sigmoid()).sqrt().clamp(1e-6, 1 - 1e-6)
    target = functional.one_hot(classes, rows.shape[1] - 5).float()
    class_cost = -(target[:, None] * score.log() + (1 - target[:, None]) * (1 - score).log()).sum(-1)
    cost = class_cost - _BOX_COST * (overlap + 1e-8).log() + _FAR * ~(inside & near)[:, candidates]
    chosen = torch.zeros_like(cost, dtype=torch.bool)
    best = overlap.topk(min(_BEST, overlap.shape[1]), 1).values.sum(1).int().clamp(min=1)
    for n, k in enumerate(best.tolist()):
        chosen[n, cost[n].topk(min(k, cost.shape[1]), largest=False).indices] = True
    taken = chosen.any(0)
    owner = torch.where(chosen, cost, torch.inf).argmin(0)[taken]
    return candidates[taken], owner, overlap[:, taken].gather(0, owner[None])[0]


def loss_of(rows: Tensor, cells: Cells, truth: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Returns the mean loss per answering cell of raw predictions [b, n, 5 + c]. `truth` has, for each image, boxes
    [m, 4] in pixels of the model's input, and classes [m]."""
    decoded = cells.boxes(rows)
    wanted = torch.zeros_like(rows[..., 4])
    box_loss = class_loss = rows.sum() * 0
    answering = 0
    for n, (objects, classes) in enumerate(truth):
        if not len(objects):
            continue
        index, owner, overlap = assign(rows[n].detach(), decoded[n].detach(), cells, objects, classes)
        wanted[n, index] = 1
        answering += len(index)
        box_loss = box_loss + (1 - _own_iou(decoded[n, index], objects[owner]) ** 2).sum()
        target = functional.one_hot(classes[owner], rows.shape[2] - 5) * overlap[:, None]
        class_loss = class_loss + functional.binary_cross_entropy_with_logits(
            rows[n, index, 5:], target, reduction="sum"
        )
    objectness = functional.binary_cross_entropy_with_logits(rows[..., 4], wanted, reduction="sum")
    return (_BOX_WEIGHT * box_loss + class_loss + objectness) / max(answering, 1)


def _own_iou(a: Tensor, b: Tensor) -> Tensor:
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (_area(a) + _area(b) - shared).clamp(min=1e-9)
