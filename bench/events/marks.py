"""A plug-in that reports each stretch of a simulated camera's frames, last in the chain, so that what came before it
delays its event as it delays those of `zones` or `face`.

It is in its own module because the daemon imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from sightd.plugins.api import Event, Events, EventSpec, Frame, Plugin, PluginConfig, Results
from tests.support.barcode import clock_us, get_bar

STRETCH = 43
"""Frames from one event to the next. A prime number, so that the events fall on every phase of the analysis."""


class Marks(Plugin[PluginConfig]):
    """Reports the first analysed frame of each stretch. Facts: `number` and `made_us` of that frame (see
    `tests.support.barcode`), `captured_us` and `reached_us` on the same clock: when it was captured, and when it
    reached this plug-in. `intervals`: those in s between the analysed frames of this camera since its last event."""

    produces: ClassVar[frozenset[type]] = frozenset({Events})
    events: ClassVar[tuple[EventSpec, ...]] = (EventSpec("mark.passed", "A stretch of frames has begun."),)

    def __init__(self, config: PluginConfig) -> None:
        super().__init__(config)
        self._reached: dict[str, int] = {}
        self._analysed: dict[str, list[float]] = {}
        """Times of capture since the last event, by camera."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        reached_us = clock_us()
        return [Results(Events(tuple(self._passed(frame, reached_us)))) for frame in frames]

    def _passed(self, frame: Frame, reached_us: int) -> list[Event]:
        analysed = self._analysed.setdefault(frame.camera, [])
        analysed.append(frame.captured_at)
        bar = get_bar(frame.host())
        if bar is None or bar.number // STRETCH == self._reached.get(frame.camera):
            return []
        self._reached[frame.camera] = bar.number // STRETCH
        self._analysed[frame.camera] = analysed[-1:]
        return [
            Event(
                "mark.passed",
                {
                    "number": bar.number,
                    "made_us": bar.made_us,
                    "captured_us": clock_us(frame.captured_at),
                    "reached_us": reached_us,
                    "intervals": [round(later - earlier, 4) for earlier, later in pairwise(analysed)],
                },
            )
        ]
