"""How a style is to be learnt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """`whole`: all weights of the network are learnt, for one style alone; else a new style's scales and shifts.

    Each of `steps` looks at `batch` squares of `side` pixels. `rate` is Adam's; it falls to a tenth towards the end.
    `likeness` is the weight of looking like the painting, against showing the picture. `scale`: how large the painting
    is looked at, 1 being as large as the squares: its strokes become as much coarser.
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
        """Minutes on two processor cores. Dumoulin et al. 2017 (section 3.2) found that the scales and shifts suffice
        for a network that knows other styles already."""
        return cls(steps or 300, side or 192, 1, 5e-2, likeness, scale, whole=False)

    @classmethod
    def of_all(cls, steps: int | None, side: int | None, likeness: float, scale: float) -> Plan:
        """Wants a GPU."""
        return cls(steps or 20_000, side or 256, 4, 1e-3, likeness, scale, whole=True)

    def rate_at(self, step: int) -> float:
        return self.rate * (1 - 0.9 * step / self.steps)
