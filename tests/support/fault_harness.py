"""Test harness: a daemon with two cameras, one of which suffers faults, observed from outside."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from tests.support.camera import CameraSimulator, Look
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.distant_viewer import DistantViewer
from tests.support.exposition import samples, total
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault, Patient
from tests.support.name_server import NAME, NameServer
from tests.support.uncounted import uncounted
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

LOOK = Look(size=(640, 360), fps=25)
TIMEOUT, LONGEST = 1.0, 1.0
"""The `timeout` and `reconnect.max_delay` of both cameras, s."""
SLATE_AFTER = 1.5
_POLL = 0.05
_SETTLED = 0.5
"""SLATE_AFTER, _POLL and _SETTLED are in seconds."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a fault went, times in s. `detected` (None: frames kept coming) and `slate` count from the last frame, which
    may come during the fault; `recovered` counts from the end of the fault. `others_lost`: frames of the other camera
    that are missing and were not counted; `others_before` and `others_during`: ages of its frames before the fault, and
    from its begin until recovery."""

    fault: str
    reasons: Mapping[str, int]
    detected: float | None
    slate: float | None
    recovered: float
    viewer_stayed: bool
    others_lost: int
    others_before: Sequence[float]
    others_during: Sequence[float]

    @property
    def effect(self) -> float:
        """Relative change of the other camera's latency (95th percentile)."""
        return p95(self.others_during) / p95(self.others_before) - 1


class FaultHarness:
    """A context manager: camera "patient" behind a proxy, camera "other", a daemon, and a viewer of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = ExitStack()

    def __enter__(self) -> FaultHarness:
        with ExitStack() as parts:
            camera = parts.enter_context(CameraSimulator(LOOK))
            other = parts.enter_context(CameraSimulator(LOOK))
            proxy = parts.enter_context(FaultProxy(camera.port))
            names = NameServer(self._folder)
            self.patient = Patient(camera, proxy, names)
            options = {
                "timeout": f"{TIMEOUT:g}s",
                "reconnect": {"initial_delay": "200ms", "max_delay": f"{LONGEST:g}s"},
            }
            configuration = {
                "cameras": {
                    "patient": {"source": f"rtsp://{NAME}:{proxy.port}/cam0", **options},
                    "other": {"source": other.address(), **options},
                },
                "chain": ["detector", "tracker"],
                "plugins": {"detector": one_object_network(self._folder)},
            }
            self.daemon = parts.enter_context(DaemonProcess(self._folder, configuration, names.environ))
            self.viewer = parts.enter_context(Viewer(self.daemon.rtsp("patient")))
            self.other = parts.enter_context(DistantViewer(self.daemon.rtsp("other")))
            self.viewer.wait_for(25, within=20)
            self.other.wait_for(25, within=20)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def suffer(self, fault: Fault, *, well: float = 2.0, ill: float = 3.0) -> Course:
        """Waits until the patient is live, watches it for `well` s, applies a fault for `ill` s and heals it. Raises
        AssertionError if it is not live before, or does not recover after the fault, within 30 s."""
        eventually(self._is_live, 30, f"the patient well before {fault.name}", every=_POLL)
        counts, lost = self._counts(), self.uncounted()
        quiet = time.monotonic()
        self._watch(quiet, well)  # polling costs the daemon something, too
        began = time.monotonic()
        fault.begin(self.patient)
        detected, slate = self._watch(began, ill)
        fault.heal(self.patient)
        healed, seen = time.monotonic(), self._newest_number()
        eventually(
            lambda: self._newest_number() != seen and self._is_live(), 30, f"recovery from {fault.name}", every=_POLL
        )
        recovered = time.monotonic() - healed
        time.sleep(_SETTLED)
        over = time.monotonic()
        after = self._counts()
        return Course(
            fault=fault.name,
            reasons={reason: n for reason, count in after.items() if (n := int(count - counts.get(reason, 0)))},
            detected=detected,
            slate=slate,
            recovered=recovered,
            viewer_stayed=self.viewer.error is None,
            others_lost=self.lost_since(lost),
            others_before=self._ages(quiet, began),
            others_during=self._ages(began, over),
        )

    def _watch(self, began: float, seconds: float) -> tuple[float | None, float | None]:
        """Returns when the loss was detected and when the slate was shown, both in s after the last frame."""
        detected = slate = None
        last_picture = began
        while time.monotonic() < began + seconds:
            live = self.daemon.readiness()["cameras"]["patient"]["state"] == "live"
            if not live and detected is None:
                detected = time.monotonic() - last_picture
            shown, wall = self._slate_and_last_frame()
            if shown and slate is None:
                slate = time.monotonic() - last_picture
            elif not shown and wall:
                last_picture = time.monotonic() - (time.time() - wall)
            time.sleep(_POLL)
        return detected, slate

    def _slate_and_last_frame(self) -> tuple[bool, float]:
        """Returns whether the patient's slate is shown, and the wall time of its last frame. Both come from one
        response, because a second request soon after would get the cached metrics."""
        text = self.daemon.get("/metrics").text
        slate = total(text, "sightd_stream_slate_active", camera="patient")
        return slate == 1, total(text, "sightd_source_last_frame_timestamp_seconds", camera="patient")

    def _is_live(self) -> bool:
        up = self.daemon.metric("sightd_source_up", camera="patient")
        return up == 1 and self.daemon.metric("sightd_stream_slate_active", camera="patient") == 0

    def _newest_number(self) -> int:
        numbers = [one.bar.number for one in self.viewer.seen[-5:] if one.bar is not None]
        return numbers[-1] if numbers else -1

    def _counts(self) -> dict[str, float]:
        text = self.daemon.metrics_of_now()
        return {
            one.labels["reason"]: one.value for one in samples(text, "sightd_source_reconnects_total", camera="patient")
        }

    def _ages(self, since: float, until: float) -> list[float]:
        """Returns the ages of the other camera's frames that came between two times."""
        return [one.latency for one in self.other.seen if since <= one.at < until and one.latency is not None]

    def lost_since(self, before: int) -> int:
        """Returns how many more frames are `uncounted` than before."""
        return max(0, self.uncounted() - before)

    def uncounted(self) -> int:
        """Returns how many frames of the other camera are missing that the daemon did not count as left out."""
        return uncounted(self.daemon, self.other, "other")


def p95(ages: Sequence[float]) -> float:
    return float(np.percentile(ages, 95))
