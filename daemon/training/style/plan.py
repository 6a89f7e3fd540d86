"""The settings of a style's training."""

from __future__ import annotations

from dataclasses import dataclass


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
        """Takes minutes on two processor cores. Dumoulin et al. 2017 (section 3.2) found that scales and shifts suffice
        for a model that already knows other styles."""
        return cls(steps or 300, side or 192, 1, 5e-2, likeness, scale, whole=False)

    @classmethod
    def of_all(cls, steps: int | None, side: int | None, likeness: float, scale: float) -> Plan:
        """Needs a GPU to be practical."""
        return cls(steps or 20_000, side or 256, 4, 1e-3, likeness, scale, whole=True)

    def rate_at(self, step: int) -> float:
        return self.rate * (1 - 0.9 * step / self.steps)
