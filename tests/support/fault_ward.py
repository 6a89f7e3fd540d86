"""A daemon with two cameras, one of which faults befall; what is to be seen of it from outside."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from tests.support.camera import CameraSimulator, Look
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault, Patient
from tests.support.name_server import NAME, NameServer
from tests.support.uncounted import uncounted
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

LOOK = Look(size=(640, 360), fps=25)
TIMEOUT, LONGEST = 1.0, 1.0
"""The patient's `timeout` and `reconnect.longest`, s."""
SLATE_AFTER = 1.5
_POLL = 0.05
_COUNTED_WITHIN = 3.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a fault went, times in s. `detected` (None: pictures went on) and `slate` after the last picture, some of
    which come during a fault; `recovered` after the camera was well again; `others_lost`: frames of the other camera
    that no count explains; `others_before` and `others_during`: ages of its pictures (95 %)."""

    fault: str
    reasons: Mapping[str, int]
    detected: float | None
    slate: float | None
    recovered: float
    viewer_stayed: bool
    others_lost: int
    others_before: float
    others_during: float

    @property
    def effect(self) -> float:
        """By how much the other camera's latency moved, as a share."""
        return self.others_during / self.others_before - 1


class Ward:
    """A context manager: camera "patient" behind a proxy, camera "other", a daemon, and a viewer of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = ExitStack()

    def __enter__(self) -> Ward:
        with ExitStack() as parts:
            camera = parts.enter_context(CameraSimulator(LOOK))
            other = parts.enter_context(CameraSimulator(LOOK))
            proxy = parts.enter_context(FaultProxy(camera.port))
            names = NameServer(self._folder)
            self.patient = Patient(camera, proxy, names)
            options = {"timeout": f"{TIMEOUT:g}s", "reconnect": {"first": "200ms", "longest": f"{LONGEST:g}s"}}
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
            self.other = parts.enter_context(Viewer(self.daemon.rtsp("other")))
            self.viewer.wait_for(25, within=20)
            self.other.wait_for(25, within=20)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def suffer(self, fault: Fault, *, well: float = 2.0, ill: float = 3.0) -> Course:
        """Waits until the patient is well and looks on for `well` s, lets a fault befall it for `ill` s and heals it.
        AssertionError where it does not recover within 30 s."""
        eventually(self._is_live, 30, f"the patient well before {fault.name}")
        before = self._mark()
        self._watch(time.monotonic(), well)  # which costs the daemon something, too
        counts, begun, lost = self._counts(), self._mark(), self.uncounted()
        began = time.monotonic()
        fault.begin(self.patient)
        detected, slate = self._watch(began, ill)
        fault.heal(self.patient)
        healed = time.monotonic()
        seen = self._newest_number()
        eventually(lambda: self._is_live() and self._newest_number() != seen, 30, f"recovery from {fault.name}")
        recovered = time.monotonic() - healed
        time.sleep(0.5)
        during = self._since(begun)
        after = self._counts()
        return Course(
            fault=fault.name,
            reasons={reason: n for reason, count in after.items() if (n := int(count - counts.get(reason, 0)))},
            detected=detected,
            slate=slate,
            recovered=recovered,
            viewer_stayed=self.viewer.error is None,
            others_lost=self.lost_since(lost),
            others_before=_p95(self._since(before)[: begun - before]),
            others_during=_p95(during),
        )

    def _watch(self, began: float, seconds: float) -> tuple[float | None, float | None]:
        """When the loss was seen, and when the slate was shown, both s after the last picture."""
        detected = slate = None
        last_picture = began
        while time.monotonic() < began + seconds:
            if detected is None and self.daemon.readiness()["cameras"]["patient"]["state"] != "live":
                detected = time.monotonic() - last_picture
            if slate is None:
                shown, wall = self._slate_and_last_frame()
                if shown:
                    slate = time.monotonic() - last_picture
                elif wall:
                    last_picture = time.monotonic() - (time.time() - wall)
            time.sleep(_POLL)
        return detected, slate

    def _slate_and_last_frame(self) -> tuple[bool, float]:
        """Of the patient, from one look: who asks for metrics too often gets those that the last one got."""
        names = ("sightd_stream_slate_active", "sightd_source_last_frame_timestamp_seconds")
        values = dict.fromkeys(names, 0.0)
        for line in self.daemon.get("/metrics").text.splitlines():
            name, _, rest = line.partition("{")
            if name in values and 'camera="patient"' in rest:
                values[name] = float(rest.rpartition(" ")[2])
        return values[names[0]] == 1, values[names[1]]

    def _is_live(self) -> bool:
        up = self.daemon.metric("sightd_source_up", camera="patient")
        return up == 1 and self.daemon.metric("sightd_stream_slate_active", camera="patient") == 0

    def _newest_number(self) -> int:
        numbers = [one.bar.number for one in self.viewer.seen[-5:] if one.bar is not None]
        return numbers[-1] if numbers else -1

    def _counts(self) -> dict[str, float]:
        return self.daemon.values("sightd_source_reconnects_total", "reason", camera="patient")

    def _mark(self) -> int:
        return len(self.other.seen)

    def _since(self, mark: int) -> list[float]:
        return [one.latency for one in self.other.seen[mark:] if one.latency is not None]

    def lost_since(self, before: int) -> int:
        """How many more `uncounted` there are than before, once the count had time to come: metrics may be those of a
        moment ago."""
        until = time.monotonic() + _COUNTED_WITHIN
        while (lost := max(0, self.uncounted() - before)) and time.monotonic() < until:
            time.sleep(0.3)
        return lost

    def uncounted(self) -> int:
        """Frames of the other camera that neither came nor were counted as left out, since the beginning."""
        return uncounted(self.daemon, self.other, "other")


def _p95(ages: list[float]) -> float:
    return float(np.percentile(ages, 95)) if ages else float("nan")
