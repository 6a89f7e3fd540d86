"""What is reported about machines that lack something; each is simulated with fakes."""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sightd.daemon.config.model import Camera, Config, Engines, Http, Models, Rtsp, Tls
from sightd.daemon.tools.doctor.checks import checks, exit_code
from sightd.daemon.tools.doctor.finding import Finding, System, can_listen, nvdec_problem
from sightd.engines.cuda import gpus, nvdec
from sightd.engines.cuda.errors import CudaUnavailableError
from sightd.engines.cuda.gpus import no_gpu


def importer(*absent: str, **replaced: Any) -> Callable[[str], Any]:
    class Codec:
        def __init__(self, name: str, mode: str) -> None:
            assert (name, mode) == ("libx264", "w")

    gst = SimpleNamespace(
        init=lambda _: None,
        ElementFactory=SimpleNamespace(find=lambda name: name),
        version_string=lambda: "GStreamer 1.22.0",
    )
    backend = SimpleNamespace(supports_tls=lambda: True)
    there = {
        "gi": SimpleNamespace(require_version=lambda *_: None),
        "gi.repository.Gst": gst,
        "gi.repository.GstRtspServer": SimpleNamespace(),
        "gi.repository.Gio": SimpleNamespace(TlsBackend=SimpleNamespace(get_default=lambda: backend)),
        "cv2": SimpleNamespace(__version__="5"),
        "av": SimpleNamespace(__version__="18", codec=SimpleNamespace(Codec=Codec)),
        "onnxruntime": SimpleNamespace(__version__="1.32", get_available_providers=lambda: ["CPUExecutionProvider"]),
        "tensorrt": SimpleNamespace(__version__="10.12"),
        "pycuda.driver": SimpleNamespace(),
        **replaced,
    }

    def load(name: str) -> Any:
        if name in absent:
            raise ImportError(f"lib for {name} not found\nmore")
        if name not in there:
            raise ModuleNotFoundError(name)
        return there[name]

    return load


@pytest.fixture
def system(tmp_path: Path) -> System:
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.10  Thu")
    (tmp_path / "meminfo").write_text("MemTotal: 9999999 kB\nMemAvailable: 8388608 kB\n")
    return System(
        environ={},
        python=(3, 12, 1),
        executable="/srv/venv/bin/python",
        proc=tmp_path,
        import_module=importer(),
        can_listen=lambda host, port: "",
        backend_missing=lambda name: None if name == "onnxruntime" else "not here",
        nvenc_problem=lambda: None,
        nvdec_problem=lambda: None,
        free_bytes=lambda _: 50 * 2**30,
        cores=lambda: 4,
        limit=lambda _: (4096, 8192),
        writable=lambda _: True,
    )


def examined(system: System, config: Config | None = None, stored: tuple[str, ...] = ("yolox-tiny",)) -> list[Finding]:
    return [
        check() for check in checks(system, config or Config(), Path("/var/cache/sightd/models"), lambda: [*stored])
    ]


def found(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def test_a_machine_with_everything_is_well(system: System) -> None:
    findings = examined(system)
    assert [finding for finding in findings if finding.state != "ok"] == []
    assert exit_code(findings) == 0
    assert found(findings, "nvidia driver").found == "570.86.10"


@pytest.mark.parametrize(
    ("change", "name", "fix", "code"),
    [
        ({"python": (3, 10, 2)}, "python", "3.11", 3),
        ({"import_module": importer("gi.repository.GstRtspServer")}, "rtsp server", "gir1.2-gst-rtsp-server-1.0", 3),
        ({"import_module": importer("cv2")}, "opencv", "libgl1", 3),
        ({"import_module": importer("av")}, "ffmpeg", "/srv/venv/bin/python -m pip install av", 3),
        (
            {"import_module": importer("onnxruntime")},
            "onnxruntime",
            "/srv/venv/bin/python -m pip install onnxruntime",
            3,
        ),
        ({"writable": lambda _: False}, "cache", "SIGHTD_CACHE_DIR", 1),
        ({"can_listen": lambda host, port: "in use" if port == 8554 else ""}, "rtsp port", "another address", 1),
        ({"can_listen": lambda host, port: "in use" if port == 8080 else ""}, "http port", "another address", 1),
    ],
)
def test_what_is_needed_and_missing_is_reported_with_what_to_do(
    system: System, change: dict[str, Any], name: str, fix: str, code: int
) -> None:
    findings = examined(replace(system, **change))
    assert [finding.name for finding in findings if finding.failed] == [name]
    assert fix in found(findings, name).fix
    assert exit_code(findings) == code


def test_an_encoder_or_an_element_that_is_missing_is_reported(system: System) -> None:
    def no_codec(*_: str) -> None:
        raise ValueError("libx264")

    av = SimpleNamespace(__version__="18", codec=SimpleNamespace(Codec=no_codec))
    assert "without libx264" in found(examined(replace(system, import_module=importer(av=av))), "ffmpeg").found
    gst = SimpleNamespace(init=lambda _: None, ElementFactory=SimpleNamespace(find=lambda _: None))
    findings = examined(replace(system, import_module=importer(**{"gi.repository.Gst": gst})))
    assert "appsrc, rtph264pay" in found(findings, "rtsp server").found
    cameras = found(findings, "rtsp cameras")
    assert (cameras.state, cameras.failed) == ("note", False)
    assert "rtph264depay" in cameras.found


def test_without_a_gpu_the_cpu_is_used_and_nothing_is_missing(system: System, tmp_path: Path) -> None:
    bare = replace(system, import_module=importer("tensorrt"), proc=tmp_path / "none")
    findings = examined(bare)
    assert {finding.name for finding in findings if finding.state == "note"} == {"nvidia driver", "tensorrt", "memory"}
    assert "the CPU is used" in found(findings, "tensorrt").found
    assert exit_code(findings) == 0


def test_tls_is_needed_where_the_configuration_has_it(system: System) -> None:
    backend = SimpleNamespace(get_default=lambda: SimpleNamespace(supports_tls=lambda: False))
    bare = replace(system, import_module=importer(**{"gi.repository.Gio": SimpleNamespace(TlsBackend=backend)}))
    assert found(examined(bare), "tls").state == "note"
    config = Config(rtsp=Rtsp(tls=Tls(certificate=Path("c"), key=Path("k"))))
    assert found(examined(bare, config), "tls").state == "missing"
    assert "glib-networking" in found(examined(bare, config), "tls").fix


def test_networks_are_missing_only_where_they_may_not_be_fetched(system: System) -> None:
    assert found(examined(system, stored=()), "models").state == "note"
    assert found(examined(system, Config(models=Models(fetch=False)), stored=()), "models").state == "missing"


def test_little_room_is_noted(system: System, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable: 1000 kB\n")
    tight = replace(system, free_bytes=lambda _: 2**20, cores=lambda: 1, limit=lambda _: (256, 256))
    notes = {finding.name for finding in examined(tight) if finding.state == "note"}
    assert notes == {"disk", "cores", "memory", "open files"}


def test_servers_that_are_switched_off_need_nothing(system: System) -> None:
    config = Config(rtsp=Rtsp(enabled=False), http=Http(port=0))
    findings = examined(replace(system, can_listen=lambda host, port: "in use"), config)
    assert not {"rtsp port", "rtsp server", "tls"} & {finding.name for finding in findings}
    assert found(findings, "http port").state == "ok"


def test_a_taken_port_is_in_use_and_not_missing(system: System) -> None:
    taken = found(examined(replace(system, can_listen=lambda host, port: "in use")), "rtsp port")
    assert (taken.state, taken.found) == ("in use", "127.0.0.1:8554 is in use by another program")
    elsewhere = found(examined(replace(system, can_listen=lambda host, port: "no such address")), "rtsp port")
    assert (elsewhere.state, elsewhere.found) == ("missing", "127.0.0.1:8554: no such address")


def test_a_port_that_the_examined_daemon_serves_itself_is_no_fault(system: System) -> None:
    running = replace(system, can_listen=lambda host, port: "in use", served={"rtsp": 8554, "http": 9090})
    own = found(examined(running), "rtsp port")
    assert (own.state, own.found) == ("ok", "127.0.0.1:8554 is used by the running sightd daemon")
    assert found(examined(running), "http port").state == "in use"


def test_only_devices_that_models_run_on_are_reported_and_in_plain_words(system: System) -> None:
    providers = ["AzureExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    runtime = SimpleNamespace(__version__="1.32", get_available_providers=lambda: providers)
    findings = examined(replace(system, import_module=importer(onnxruntime=runtime)))
    assert found(findings, "onnxruntime").found == "1.32 on the CPU, NVIDIA GPUs (CUDA)"


def test_a_port_that_is_taken_is_seen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert can_listen("127.0.0.1", server.getsockname()[1]) == "in use"
    assert can_listen("127.0.0.1", 0) == ""
    assert can_listen("192.0.2.1", 0) != ""


def test_this_machine_can_be_examined() -> None:
    system = System()
    assert system.limit(resource.RLIMIT_NOFILE)[0] != 0
    assert {"python", "rtsp server", "cores"} <= {finding.name for finding in examined(system)}


def test_the_backend_that_networks_run_on_is_reported_with_those_that_are_missing(system: System) -> None:
    finding = found(examined(system), "backend")
    assert (finding.state, finding.found) == ("ok", "onnxruntime, not tensorrt: not here; onnxruntime-cuda: not here")


def test_a_list_of_backends_none_of_which_is_here_needs_one(system: System) -> None:
    findings = examined(system, Config(engines=Engines(backends=["tensorrt", "openvino"])))
    assert found(findings, "backend").found == "tensorrt: not here; openvino: not here"
    assert exit_code(findings) == 3


def test_a_card_without_an_encoder_is_no_fault(system: System) -> None:
    assert found(examined(system), "nvenc") == Finding("nvenc", "ok", "used to encode the streams")
    without = replace(system, nvenc_problem=lambda: "this GPU has no NVENC")
    told = Finding("nvenc", "note", "this GPU has no NVENC; x264 encodes on the CPU")
    assert found(examined(without), "nvenc") == told


def test_nvdec_is_a_choice_and_its_absence_no_fault(system: System) -> None:
    assert found(examined(system), "nvdec") == Finding("nvdec", "ok", "used by cameras with `decoder: nvdec`")
    without = examined(replace(system, nvdec_problem=lambda: "nvdec requires PyNvVideoCodec: pip install it"))
    told = "nvdec requires PyNvVideoCodec: pip install it; the CPU decodes"
    assert found(without, "nvdec") == Finding("nvdec", "note", told)
    assert exit_code(without) == 0


@pytest.mark.parametrize(("enabled", "state", "code"), [(True, "missing", 3), (False, "note", 0)])
def test_nvdec_is_missing_where_a_camera_that_runs_asks_for_it(
    system: System, enabled: bool, state: str, code: int
) -> None:
    front = Camera(source="testpattern://", decoder="nvdec", enabled=enabled)
    config = Config(cameras={"front": front, "back": Camera(source="testpattern://")})
    findings = examined(replace(system, nvdec_problem=lambda: "no NVIDIA GPU found"), config)
    assert found(findings, "nvdec").state == state
    assert exit_code(findings) == code
    assert found(examined(system, config), "nvdec").state == "ok"


def never(*_: object) -> Any:
    raise AssertionError("CUDA was loaded")


@pytest.mark.skipif(no_gpu() is None, reason="this machine has an NVIDIA GPU")
def test_without_a_gpu_nothing_of_cuda_is_loaded_to_look_for_nvdec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvdec, "_library", never)
    monkeypatch.setattr(gpus, "open_device", never)
    assert nvdec_problem() == "no NVIDIA GPU found (the driver is not loaded)"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that appears to have an NVIDIA driver."""
    monkeypatch.setattr("sightd.engines.cuda.gpus.no_gpu", lambda: None)
    monkeypatch.setattr(nvdec, "no_gpu", lambda: None)


@pytest.mark.usefixtures("gpu")
def test_with_a_gpu_what_nvdec_lacks_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    assert "nvdec requires PyNvVideoCodec: pip install 'sightd[gpu]'" in str(nvdec_problem())

    def no_driver(_which: str) -> Any:
        raise CudaUnavailableError("PyCUDA is not installed")

    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", ModuleType("PyNvVideoCodec"))
    monkeypatch.setattr(gpus, "open_device", no_driver)
    assert nvdec_problem() == "PyCUDA is not installed", "the library by itself decodes nothing"


@pytest.mark.usefixtures("gpu")
def test_nvdec_is_opened_to_see_whether_it_can_be_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    def opened(_gpus: Any, which: str) -> Any:
        return SimpleNamespace(close=lambda: closed.append(which))

    monkeypatch.setattr(nvdec, "open_nvdec", opened)
    assert nvdec_problem() is None
    assert closed == ["cuda:0"]
