"""The whole daemon: a real RTSP camera in, annotated RTSP, MJPEG and metrics out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import yaml

from sightd.daemon.cli.main import main
from sightd.engines.cuda.gpus import no_gpu
from tests.support.barcode import get_bar
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.uncounted import uncounted
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

without_gpu = pytest.mark.skipif(no_gpu() is None, reason="this machine has an NVIDIA GPU")
LOOK = Look(size=(640, 360), fps=25)


@pytest.fixture(scope="module")
def camera() -> Iterator[CameraSimulator]:
    need_rtsp_server()
    with CameraSimulator(LOOK, mounts=2) as simulator:
        yield simulator


def configuration(folder: Path, camera: CameraSimulator, **more: Any) -> dict[str, Any]:
    return {
        "cameras": {
            "front": {
                "source": camera.address(0),
                "timeout": "1s",
                "reconnect": {"initial_delay": "200ms", "max_delay": "1s"},
            },
            "back": {"source": camera.address(1), "timeout": "1s"},
        },
        "chain": ["detector", "tracker"],
        "plugins": {"detector": one_object_network(folder)},
        **more,
    }


@pytest.fixture(scope="module")
def daemon(camera: CameraSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("daemon")
    with DaemonProcess(folder, configuration(folder, camera)) as process:
        eventually(lambda: bool(process.readiness()["ready"]), 15, "daemon ready")
        yield process


def test_a_lost_camera_turns_to_the_slate_and_comes_back_without_losing_its_viewer(tmp_path: Path) -> None:
    need_rtsp_server()
    with CameraSimulator(LOOK, mounts=2) as camera, DaemonProcess(tmp_path, configuration(tmp_path, camera)) as daemon:
        with Viewer(daemon.rtsp("front")) as viewer:
            viewer.wait_for(30)
            camera.kill()
            eventually(lambda: daemon.metric("sightd_stream_slate_active", camera="front") == 1, 5, "slate")
            assert daemon.metric("sightd_source_up", camera="front") == 0
            readiness = daemon.readiness()
            assert not readiness["ready"]
            assert any("front" in reason for reason in readiness["reasons"])
            shown = len(viewer.seen)
            viewer.wait_for(shown + 5)
            assert all(seen.bar is None for seen in viewer.seen[-3:]), "the slate shows no live picture"
            camera.start()
            eventually(lambda: daemon.metric("sightd_stream_slate_active", camera="front") == 0, 10, "picture back")
            eventually(lambda: viewer.seen[-1].bar is not None, 5, "live picture at the viewer")
            assert viewer.error is None
        assert daemon.metric("sightd_source_reconnects_total", camera="front") >= 1


def test_a_hung_up_camera_does_not_delay_the_stop(tmp_path: Path) -> None:
    need_rtsp_server()
    with CameraSimulator(LOOK, mounts=2) as camera, DaemonProcess(tmp_path, configuration(tmp_path, camera)) as daemon:
        eventually(lambda: bool(daemon.readiness()["ready"]), 15)
        camera.freeze()
        code, seconds = daemon.terminate()
        camera.thaw()
    assert code == 0
    assert seconds < 5


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    need_rtsp_server()
    with CameraSimulator(LOOK, mounts=2) as camera, DaemonProcess(tmp_path, configuration(tmp_path, camera)) as daemon:
        eventually(lambda: bool(daemon.readiness()["ready"]), 15)
        camera.freeze()  # so that the stop takes as long as possible
        daemon.signal(signal.SIGTERM)
        eventually(lambda: "stopping" in daemon.log, 5)
        code, _ = daemon.terminate()
        camera.thaw()
    assert code == 128 + signal.SIGTERM


@pytest.mark.computing
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"chain": ["detecter"]}, 'did you mean "detector"'),
        (
            {"plugins": {"detector": {"model": {"file": "nowhere.onnx", "head": "ssd", "labels": ["a"]}}}},
            "plugins.detector.model.file: cannot read",
        ),
        ({"plugins": {"detector": {"model": ["yolox-tinny"]}}}, 'did you mean "yolox-tiny"'),
        ({"plugins": {"detector": {"classes": ["carr"]}}}, 'did you mean "car"'),
        ({"rtsp": {"port": 1}, "http": {"port": -1}}, "http.port"),
    ],
)
def test_refuses_a_configuration_with_a_word_on_what_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], told: str
) -> None:
    path = tmp_path / "sightd.yaml"
    settings = {"cameras": {"front": {"source": "testpattern://"}}, "chain": ["detector"], **change}
    path.write_text(yaml.safe_dump(settings))
    assert main(["run", "-c", str(path)]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.computing
@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"chain": ["detecter"]}, 2, 'did you mean "detector"'),
        ({"plugins": {"detector": {"model": "yolox-m"}}, "models": {"fetch": False}}, 3, "yolox-m"),
        pytest.param({"output": {"encoder": "nvenc"}, "chain": []}, 3, "no NVIDIA GPU found", marks=without_gpu),
        pytest.param(
            {"cameras": {"front": {"source": "a.mp4", "decoder": "nvdec"}}, "chain": []},
            3,
            "nvdec cannot be used: no NVIDIA GPU found",
            marks=without_gpu,
        ),
    ],
)
def test_refuses_to_start_with_a_word_on_what_to_change(
    tmp_path: Path, change: dict[str, Any], code: int, told: str
) -> None:
    settings = {"cameras": {"front": {"source": "testpattern://"}}, "chain": ["detector"], **change}
    daemon = DaemonProcess(tmp_path, settings, {"SIGHTD_CACHE_DIR": str(tmp_path)})
    with pytest.raises(AssertionError):
        daemon.start()
    assert daemon.exit_code() == code
    assert told in daemon.log
    daemon.close()


def test_stops_at_once_with_viewers_connected(camera: CameraSimulator, tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, configuration(tmp_path, camera)) as daemon, Viewer(daemon.rtsp("front")) as viewer:
        viewer.wait_for(10)
        code, seconds = daemon.terminate()
    assert code == 0
    assert seconds < 5


def test_an_address_in_use_is_reported(camera: CameraSimulator, tmp_path: Path) -> None:
    taken = configuration(tmp_path, camera, rtsp={"port": camera.port})
    daemon = DaemonProcess(tmp_path, taken)
    with pytest.raises(AssertionError):
        daemon.start()
    assert daemon.exit_code() == 1
    assert str(camera.port) in daemon.log
    daemon.close()


def test_serves_each_cameras_picture_annotated_in_order_and_fresh(daemon: DaemonProcess) -> None:
    with Viewer(daemon.rtsp("front"), keep=40) as front, Viewer(daemon.rtsp("back")) as back:
        front.wait_for(60)
        back.wait_for(60)
    assert front.in_order()
    assert back.in_order()
    assert np.median(front.latencies()) < 0.5
    edges = [edge_along_box(picture) for picture in front.pictures[15:]]
    assert min(edges) > 25, "every picture shows the box's edges"


def edge_along_box(luma: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    """Returns how much a box's left edge differs in brightness from its surroundings; the box is at 25-75 %."""
    height, width = luma.shape
    rows = luma[height // 3 : 2 * height // 3].astype(float)
    line = rows[:, width // 4 - 4 : width // 4 + 5]
    return float(np.abs(np.diff(line, axis=1)).max(axis=1).mean())


def test_a_frame_that_no_viewer_gets_is_counted(daemon: DaemonProcess) -> None:
    with Viewer(daemon.rtsp("front")) as viewer:
        viewer.wait_for(5)
        lost = uncounted(daemon, viewer, "front")
        viewer.wait_for(len(viewer.seen) + 50)
        captured = daemon.metric("sightd_frames_total", camera="front", stage="captured")
        shown = daemon.metric("sightd_frames_total", camera="front", stage="shown")
        lost = uncounted(daemon, viewer, "front") - lost
    assert captured >= shown
    assert lost <= 0


def test_nothing_is_encoded_while_nobody_watches(daemon: DaemonProcess) -> None:
    with Viewer(daemon.rtsp("front")) as viewer:
        viewer.wait_for(5)
        assert daemon.metric("sightd_encoder_active", camera="front") == 1
        assert daemon.metric("sightd_stream_clients", camera="front", protocol="rtsp") == 1
    eventually(lambda: daemon.metric("sightd_encoder_active", camera="front") == 0, 10, "encoder at rest")
    assert daemon.metric("sightd_stream_clients", camera="front", protocol="rtsp") == 0


def test_serves_a_still_and_mjpeg(daemon: DaemonProcess) -> None:
    still = cv2.imdecode(np.frombuffer(daemon.get("/front.jpg").content, np.uint8), cv2.IMREAD_COLOR)
    assert still is not None
    assert still.shape == (360, 640, 3)
    assert get_bar(np.asarray(still, np.uint8)) is not None
    seen = b""
    with httpx.stream("GET", daemon.url("/front.mjpg"), timeout=10) as response:
        for part in response.iter_bytes():
            seen += part
            if seen.count(b"\xff\xd8\xff") >= 3:
                break
    assert seen.count(b"Content-Type: image/jpeg") >= 3


def test_tells_which_network_runs_and_why(daemon: DaemonProcess) -> None:
    detector = daemon.readiness()["plugins"]["detector"]
    assert detector["model"] == "one_object"
    assert detector["backend"] == "onnxruntime-cpu"
    assert "only choice" in detector["reason"]
    assert daemon.metric("sightd_engine_info", plugin="detector", model="one_object", device="cpu") == 1


def test_tells_what_encodes_and_why(daemon: DaemonProcess) -> None:
    camera = daemon.readiness()["cameras"]["front"]
    assert daemon.metric("sightd_encoder_info", camera="front", encoder=camera["encoder"]) == 1
    if missing := no_gpu():
        assert (camera["encoder"], camera["encoder_reason"]) == ("x264", f"no nvenc: {missing}")
    assert f"using {camera['encoder']} to encode H.264: " in daemon.log


def test_counts_what_it_finds(daemon: DaemonProcess) -> None:
    before = daemon.metric("sightd_detections_total", camera="back", **{"class": "thing"})
    eventually(lambda: daemon.metric("sightd_detections_total", camera="back", **{"class": "thing"}) >= before + 10, 10)
    assert daemon.metric("sightd_frames_total", camera="back", stage="analysed") >= before


def test_is_healthy(daemon: DaemonProcess) -> None:
    assert daemon.get("/healthz").status_code == 200
