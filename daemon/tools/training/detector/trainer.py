"""The settings and steps of a detector's training, and the state needed to resume it later."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sightd.daemon.tools.training.detector.graph import Part
from sightd.daemon.tools.training.detector.inputs import Examples, Inputs
from sightd.daemon.tools.training.detector.loss import Cells, loss_of
from sightd.daemon.tools.training.detector.network import TrainableYolox

State = Mapping[str, NDArray[Any]]
Arrays = dict[str, NDArray[Any]]
_WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""
_LAST_RATE = 0.05
_WEIGHT_DECAY = 5e-4
_LARGEST_GRADIENT = 10.0
_BEFORE_HEAD = 0.3
"""Learning rate of the layers before those that predict, as a share of theirs."""
_MEMORY = 0.98
"""Decay of the moving average of the weights, which is what is measured and exported."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Each of `steps` uses `batch` random views of the frames. Every `every` steps the frames of the choice are
    measured; after `patience` measurements without a better one, training ends. `rate` is AdamW's learning rate for
    the layers that predict. `part` is trained. `side` is that of the model's square input in pixels, a multiple of 32;
    0 for that of the base model."""

    steps: int
    batch: int = 8
    rate: float = 1e-3
    every: int = 50
    patience: int = 6
    held_out: float = 0.3
    mirror: bool = True
    part: Part = Part.NECK
    seed: int = 0
    side: int = 0

    def rate_at(self, step: int) -> float:
        """Rises, then falls along half a cosine."""
        begun = min(1.0, (step + 1) / max(1, round(_WARM_UP * self.steps)))
        wave = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.rate * begun * (_LAST_RATE + (1 - _LAST_RATE) * wave)


class Trainer:
    """Trains with AdamW. Used by one thread."""

    def __init__(
        self,
        network: TrainableYolox,
        examples: Examples,
        inputs: Inputs,
        cells: Cells,
        plan: Plan,
        device: str,
    ) -> None:
        self._network, self._examples, self._inputs = network, examples, inputs
        self._cells, self._plan, self._device = cells, plan, device
        self._average = {name: tensor.detach().clone() for name, tensor in network.weights.items()}
        self._adam = torch.optim.AdamW(_groups(network), lr=plan.rate)
        self.step = 0
        """Number of steps done."""

    def advance(self) -> float:
        """Does one step and returns its loss. Its input depends only on the plan, the frames and the step's number."""
        plan = self._plan
        random = np.random.default_rng((plan.seed, self.step))
        examples = [self._examples.random(random) for _ in range(plan.batch)]
        truth = [tuple(torch.tensor(part, device=self._device) for part in (one.boxes, one.labels)) for one in examples]
        for group in self._adam.param_groups:
            group["lr"] = plan.rate_at(self.step) * group["share"]
        inputs = self._inputs.of([one.tensor for one in examples])
        loss = loss_of(self._network.rows(inputs), self._cells, truth)
        self._adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self._network.weights.values()), _LARGEST_GRADIENT)
        self._adam.step()
        self.step += 1
        self._remember()
        return float(loss.item())

    def averaged(self) -> dict[str, NDArray[np.float32]]:
        """Returns copies of the averaged weights, by name."""
        return {name: tensor.cpu().numpy().copy() for name, tensor in self._average.items()}

    def rows(self, inputs: list[Any]) -> NDArray[np.float32]:
        """Returns what the averaged weights predict, as head "yolox" has it: [b, cells, 5 + c], scores after their
        sigmoid."""
        return scored_rows(self._network, inputs, self._average)

    def state(self) -> Arrays:
        """Returns everything that `restore` needs."""
        found: Arrays = {"step": np.array(self.step)}
        for name, tensor in self._network.weights.items():
            moments = self._adam.state.get(tensor, {})
            found[f"value-{name}"], found[f"average-{name}"] = _array(tensor), _array(self._average[name])
            for moment in ("exp_avg", "exp_avg_sq"):
                found[f"{moment}-{name}"] = _array(moments[moment]) if moments else np.zeros(tensor.shape, np.float32)
        return found

    def restore(self, state: State) -> None:
        """Resumes where `state` was taken. Raises KeyError or ValueError if it belongs to another training."""
        step = int(state["step"])
        for name, tensor in self._network.weights.items():
            value, average, first, second = self._parts(state, name)
            tensor.data.copy_(value)
            self._average[name].copy_(average)
            self._adam.state[tensor] = {"step": torch.tensor(float(step)), "exp_avg": first, "exp_avg_sq": second}
        self.step = step

    def _parts(self, state: State, name: str) -> Iterator[Any]:
        wanted = tuple(self._network.weights[name].shape)
        for part in ("value", "average", "exp_avg", "exp_avg_sq"):
            array = state[f"{part}-{name}"]
            if array.shape != wanted:
                raise ValueError("its weights have different shapes")
            yield torch.tensor(array, device=self._device)

    def _remember(self) -> None:
        decay = min(_MEMORY, self.step / (self.step + 10))
        for name, tensor in self._network.weights.items():
            self._average[name].lerp_(tensor.detach(), 1 - decay)


def _groups(network: TrainableYolox) -> list[dict[str, Any]]:
    """Returns AdamW's groups of weights. `share` is a factor of the learning rate."""
    groups = []
    for share in (1.0, _BEFORE_HEAD):
        part = [tensor for name, tensor in network.weights.items() if (name in network.head) == (share == 1)]
        for decay, tensors in (
            (_WEIGHT_DECAY, [one for one in part if one.ndim > 1]),
            (0.0, [one for one in part if one.ndim == 1]),
        ):
            groups += [{"params": tensors, "weight_decay": decay, "share": share}] if tensors else []
    return groups


def scored_rows(network: TrainableYolox, inputs: list[Any], weights: Mapping[str, Any]) -> NDArray[np.float32]:
    """Returns what the network predicts with other weights: [b, cells, 5 + c], scores after their sigmoid."""
    own = network.weights
    network.weights = dict(weights)
    try:
        with torch.no_grad():
            rows = network.rows(inputs)
            rows[..., 4:] = rows[..., 4:].sigmoid()
    finally:
        network.weights = own
    return np.asarray(rows.cpu().numpy(), np.float32)


def _array(tensor: Any) -> NDArray[Any]:
    return np.asarray(tensor.detach().cpu().numpy()).copy()
