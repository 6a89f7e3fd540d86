"""A simulated RTSP camera in its own process, which can be killed, frozen and restarted like a real one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def need_rtsp_server() -> None:
    """Skips the test if gst-rtsp-server's Python binding is not installed."""
    gi = pytest.importorskip("gi", reason="PyGObject (python3-gi) is not installed")
    try:
        gi.require_version("GstRtspServer", "1.0")
    except ValueError:
        pytest.skip("gst-rtsp-server (gir1.2-gst-rtsp-server-1.0) is not installed")


@dataclass(frozen=True, slots=True)
class Look:
    """What a simulated camera shows: `files` one after another in an endless loop, without transcoding, or (if there
    are none) live bar-coded frames of `size` at `fps`, panning over the photograph `background` if given. `corruption`
    (cut in half) and `loss` are probabilities per access unit, key frames excepted; the faults are the same in every
    run. `codec` of live frames: h264, h265 or jpeg. `audio` is that of the sound, with a beep at every
    50th frame: aac, opus, alaw or mulaw; without sound by default."""

    files: Sequence[Path] = ()
    size: tuple[int, int] = (1280, 720)
    fps: float = 25.0
    background: Path | None = None
    corruption: float = 0.0
    loss: float = 0.0
    codec: str = "h264"
    audio: str = ""


class CameraSimulator:
    """`mounts` cameras at rtsp://127.0.0.1:PORT/cam0 … that all show the same stream; a context manager.

    Live frames carry the frame counter and the time at which they were made (tests.support.barcode); they are encoded
    once for all mounts. With `user` and `password`, viewers must log in (basic authentication).
    """

    def __init__(
        self, look: Look | None = None, *, mounts: int = 1, user: str = "", password: str = "", port: int = 0
    ) -> None:
        self._look = look or Look()
        self._mounts, self._user, self._password = mounts, user, password
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    def address(self, mount: int = 0, *, user: str | None = None, password: str | None = None) -> str:
        """Returns the RTSP address of a mount, with the right credentials or with those given."""
        user = self._user if user is None else user
        password = self._password if password is None else password
        credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"rtsp://{credentials}127.0.0.1:{self.port}/cam{mount}"

    def start(self, within: float = 60.0, size: tuple[int, int] | None = None) -> None:
        """Switches the camera on and returns when it listens; after a kill, on the same port as before. `size`
        overrides the look's. Raises RuntimeError if it is not ready `within` s."""
        settings = {
            "port": self.port,
            "mounts": self._mounts,
            "user": self._user,
            "password": self._password,
            "files": [str(path) for path in self._look.files],
            "size": size or self._look.size,
            "fps": self._look.fps,
            "codec": self._look.codec,
            "audio": self._look.audio,
            "background": str(self._look.background or ""),
            "faults": {"corruption": self._look.corruption, "loss": self._look.loss},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.camera_process", json.dumps(settings)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], within)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.kill()
            raise RuntimeError("the camera simulator did not start; its own messages are above")
        self.port = int(line)

    def kill(self) -> None:
        """Simulates a power loss: SIGKILL, so connections are not closed in an orderly way."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def freeze(self) -> None:
        """Makes the camera hang: its connections stay open and no data comes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets the camera continue after `freeze`."""
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def __enter__(self) -> CameraSimulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the camera simulator is not running; call start() first")
        os.kill(self._process.pid, number)
