"""All checks, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sightd.daemon.config.model import Config
from sightd.daemon.tools.doctor import machine, software
from sightd.daemon.tools.doctor.finding import Finding, System

Check = Callable[[], Finding]


def checks(system: System, config: Config, folder: Path, stored: Callable[[], list[str]]) -> list[Check]:
    """Returns the checks for a configuration. `folder` is where models are stored, `stored` returns the names of those
    there."""
    servers: list[Check] = [lambda: software.rtsp_cameras(system)]
    if config.rtsp.enabled:
        servers.append(lambda: software.rtsp_server(system))
        servers.append(lambda: software.tls(system, needed=config.rtsp.tls is not None))
        servers.append(lambda: machine.port(system, "rtsp port", config.rtsp.host, config.rtsp.port))
    if config.http.enabled:
        servers.append(lambda: machine.port(system, "http port", config.http.host, config.http.port))
    nvdec_wanted = any(camera.enabled and camera.decoder == "nvdec" for camera in config.cameras.values())
    return [
        lambda: software.python(system),
        lambda: software.opencv(system),
        lambda: software.ffmpeg(system),
        lambda: software.onnx_runtime(system),
        lambda: software.nvidia_driver(system),
        lambda: software.gpu_package(system, "tensorrt", "tensorrt"),
        lambda: software.gpu_package(system, "pycuda.driver", "pycuda"),
        lambda: software.nvenc(system),
        lambda: software.nvdec(system, needed=nvdec_wanted),
        lambda: software.backends(system, config.engines.backends),
        lambda: machine.models(folder, stored(), fetch=config.models.fetch),
        lambda: machine.cache(system, folder),
        lambda: machine.disk(system, folder),
        *servers,
        lambda: machine.cores(system),
        lambda: machine.memory(system),
        lambda: machine.open_files(system),
        lambda: machine.locked_memory(system),
    ]


def exit_code(findings: Sequence[Finding]) -> int:
    """Returns 0 if everything needed is there, 3 if a backend is missing, 1 if something else is."""
    failed = [finding for finding in findings if finding.failed]
    if any(finding.backend for finding in failed):
        return 3
    return 1 if failed else 0
