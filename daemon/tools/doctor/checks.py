"""All checks: installed software, then the machine and its stored models."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

from sightd.daemon.config.model import Config
from sightd.daemon.tools.doctor.finding import IN_USE, Finding, System

RTSP_PACKAGES = (
    "apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
)
_SITE = ", and create the virtual environment with the distribution's python3 and --system-site-packages"
_PROVIDERS = {
    "CPUExecutionProvider": "the CPU",
    "CUDAExecutionProvider": "NVIDIA GPUs (CUDA)",
    "TensorrtExecutionProvider": "NVIDIA GPUs (TensorRT)",
    "OpenVINOExecutionProvider": "Intel devices (OpenVINO)",
}
"""Providers that models run on; ONNX Runtime lists others that its package was merely built with."""
_ELEMENTS = ("appsrc", "rtph264pay")
_INPUT_ELEMENTS = ("rtspsrc", "appsink", "rtph264depay", "rtph265depay", "rtpjpegdepay")


def python(system: System) -> Finding:
    """Checks the interpreter's version."""
    version = ".".join(map(str, system.python))
    if system.python < (3, 11):
        return Finding("python", "missing", version, "install Python 3.11 or newer", backend=True)
    return Finding("python", "ok", version)


def rtsp_server(system: System) -> Finding:
    """Checks gst-rtsp-server through gi, and the elements of its pipelines."""
    try:
        gi = system.import_module("gi")
        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        gst = system.import_module("gi.repository.Gst")
        system.import_module("gi.repository.GstRtspServer")
    except (ImportError, ValueError) as error:
        return Finding("rtsp server", "missing", _reason(error), RTSP_PACKAGES + _SITE, backend=True)
    gst.init(None)
    absent = [element for element in _ELEMENTS if gst.ElementFactory.find(element) is None]
    if absent:
        return Finding("rtsp server", "missing", f"no element {', '.join(absent)}", RTSP_PACKAGES, backend=True)
    return Finding("rtsp server", "ok", gst.version_string())


def rtsp_cameras(system: System) -> Finding:
    """Checks the GStreamer elements that read RTSP cameras. Without them FFmpeg reads them, with more delay."""
    try:
        gi = system.import_module("gi")
        gi.require_version("Gst", "1.0")
        gst = system.import_module("gi.repository.Gst")
    except (ImportError, ValueError) as error:
        return Finding("rtsp cameras", "note", f"using FFmpeg: {_reason(error)}", RTSP_PACKAGES + _SITE)
    gst.init(None)
    absent = [element for element in _INPUT_ELEMENTS if gst.ElementFactory.find(element) is None]
    if absent:
        return Finding("rtsp cameras", "note", f"no element {', '.join(absent)}: using FFmpeg", RTSP_PACKAGES)
    return Finding("rtsp cameras", "ok", "using GStreamer")


def tls(system: System, *, needed: bool) -> Finding:
    """Checks glib-networking, which rtsps:// needs."""
    try:
        there = bool(system.import_module("gi.repository.Gio").TlsBackend.get_default().supports_tls())
    except ImportError as error:
        return Finding("tls", "missing" if needed else "note", _reason(error), RTSP_PACKAGES, backend=needed)
    if there:
        return Finding("tls", "ok", "rtsps:// is available")
    return Finding(
        "tls",
        "missing" if needed else "note",
        "rtsps:// is not available",
        "apt-get install glib-networking",
        backend=needed,
    )


def opencv(system: System) -> Finding:
    """Checks OpenCV, whose wheel needs system libraries."""
    try:
        cv2 = system.import_module("cv2")
    except ImportError as error:
        return Finding("opencv", "missing", _reason(error), "apt-get install libgl1 libglib2.0-0", backend=True)
    return Finding("opencv", "ok", str(cv2.__version__))


def ffmpeg(system: System) -> Finding:
    """Checks PyAV with the H.264 encoder."""
    try:
        av = system.import_module("av")
    except ImportError as error:
        return Finding("ffmpeg", "missing", _reason(error), f"{system.pip} av", backend=True)
    try:
        av.codec.Codec("libx264", "w")
    except ValueError:  # includes PyAV's UnknownCodecError
        fix = "install the av package as a wheel: it includes libx264"
        return Finding("ffmpeg", "missing", f"av {av.__version__} without libx264", fix, backend=True)
    return Finding("ffmpeg", "ok", f"av {av.__version__} with libx264")


def onnx_runtime(system: System) -> Finding:
    """Checks ONNX Runtime, and what it can run on."""
    try:
        runtime = system.import_module("onnxruntime")
    except ImportError as error:
        return Finding("onnxruntime", "missing", _reason(error), f"{system.pip} onnxruntime", backend=True)
    there = runtime.get_available_providers()
    devices = [words for name, words in _PROVIDERS.items() if name in there]
    return Finding("onnxruntime", "ok", f"{runtime.__version__} on {', '.join(devices) or 'no known device'}")


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


_CPU = "not available; the CPU is used"


def nvidia_driver(system: System) -> Finding:
    """Checks the kernel driver and reports its version."""
    try:
        text = (system.proc / "driver/nvidia/version").read_text()
    except OSError:
        return Finding("nvidia driver", "note", _CPU)
    version = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    return Finding("nvidia driver", "ok", version[1] if version else "there")


def nvenc(system: System) -> Finding:
    """Checks NVENC, which encodes the streams if it is available."""
    if problem := system.nvenc_problem():
        return Finding("nvenc", "note", f"{problem}; x264 encodes on the CPU")
    return Finding("nvenc", "ok", "used to encode the streams")


def nvdec(system: System, *, needed: bool) -> Finding:
    """Checks NVDEC, which decodes cameras that ask for it; `needed` if one does, because it does not start without
    NVDEC."""
    problem = system.nvdec_problem()
    if problem is None:
        return Finding("nvdec", "ok", "used by cameras with `decoder: nvdec`")
    if needed:
        return Finding("nvdec", "missing", problem, "or set `decoder: cpu` for the cameras", backend=True)
    return Finding("nvdec", "note", f"{problem}; the CPU decodes")


def gpu_package(system: System, name: str, label: str) -> Finding:
    """Checks a Python package of the `gpu` extra."""
    try:
        found = system.import_module(name)
    except (ImportError, OSError) as error:
        known = isinstance(error, ModuleNotFoundError)
        why = _CPU if known else f"{str(error).splitlines()[0]}; the CPU is used"
        return Finding(label, "note", why, f"with an NVIDIA GPU: {system.pip} 'sightd[gpu]'" if known else "")
    return Finding(label, "ok", str(getattr(found, "__version__", None) or getattr(found, "VERSION_TEXT", "there")))


def backends(system: System, wished: Sequence[str]) -> Finding:
    """Reports the first configured backend that this machine has, and why not those before it."""
    passed: list[str] = []
    for name in wished:
        reason = system.backend_missing(name)
        if reason is None:
            return Finding("backend", "ok", name + (f", not {'; '.join(passed)}" if passed else ""))
        passed.append(f"{name}: {reason}")
    fix = "install one of them, or add onnxruntime to engines.backends"
    return Finding("backend", "missing", "; ".join(passed), fix, backend=True)


_GIB = 2**30
LEAST_DISK = 1 * _GIB
LEAST_MEMORY = 1 * _GIB
LEAST_FILES = 1024


def cache(system: System, folder: Path) -> Finding:
    """Checks that the folder of downloaded models can be written; it need not exist yet."""
    there = _nearest(folder)
    if system.writable(there):
        return Finding("cache", "ok", str(folder))
    fix = f"give this user write permission for {there}, or set SIGHTD_CACHE_DIR or models: directory:"
    return Finding("cache", "missing", f"{folder} is not writable", fix)


def disk(system: System, folder: Path) -> Finding:
    """Checks the disk space for models."""
    free = system.free_bytes(_nearest(folder))
    if free < LEAST_DISK:
        return Finding("disk", "note", f"{_gib(free)} free in {folder}", f"models need {_gib(LEAST_DISK)}")
    return Finding("disk", "ok", f"{_gib(free)} free")


def models(folder: Path, stored: list[str], *, fetch: bool) -> Finding:
    """Reports the models that are already stored."""
    if stored:
        return Finding("models", "ok", ", ".join(stored))
    if fetch:
        return Finding(
            "models",
            "note",
            f"none in {folder}",
            ("they are downloaded at the first start; or run: sightd models fetch"),
        )
    return Finding(
        "models",
        "missing",
        f"none in {folder}, and downloading is disabled",
        ("run sightd models fetch, or set fetch: true"),
    )


def port(system: System, label: str, host: str, number: int) -> Finding:
    """Checks that a server's address is free, or is served by the daemon that runs this configuration."""
    if number == 0:
        return Finding(label, "ok", f"{host}, any free port")
    reason = system.can_listen(host, number)
    if not reason:
        return Finding(label, "ok", f"{host}:{number} is free")
    section = label.split()[0]
    if reason == IN_USE and system.served.get(section) == number:
        return Finding(label, "ok", f"{host}:{number} is used by the running sightd daemon")
    fix = f"stop the program that listens there (ss -ltnp), or set another address: {section}: {{host: ..., port: ...}}"
    if reason == IN_USE:
        return Finding(label, IN_USE, f"{host}:{number} is in use by another program", fix)
    return Finding(label, "missing", f"{host}:{number}: {reason}", fix)


def cores(system: System) -> Finding:
    """Counts the CPU cores that this process may use."""
    count = system.cores()
    if count < 2:
        return Finding("cores", "note", "1", "with two cores, decoding and inference do not wait for each other")
    return Finding("cores", "ok", str(count))


def memory(system: System) -> Finding:
    """Checks the memory that is available without swapping."""
    try:
        lines = (system.proc / "meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return Finding("memory", "note", "unknown")
    if available < LEAST_MEMORY:
        return Finding("memory", "note", f"{_gib(available)} available", f"{_gib(LEAST_MEMORY)} are recommended")
    return Finding("memory", "ok", f"{_gib(available)} available")


def open_files(system: System) -> Finding:
    """Checks the limit of open files, to which the daemon raises its own: each camera and each viewer needs some."""
    _, hard = system.limit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < LEAST_FILES:
        return Finding("open files", "note", f"limit {hard}", "ulimit -n 4096, or LimitNOFILE=4096 under systemd")
    return Finding("open files", "ok", f"limit {_limit(hard)}")


def locked_memory(system: System) -> Finding:
    """Reports the limit of locked memory. GPU transfers use some; without a GPU it does not matter."""
    soft, _ = system.limit(resource.RLIMIT_MEMLOCK)
    return Finding(
        "locked memory", "ok", f"limit {_limit(soft)}" + ("" if soft == resource.RLIM_INFINITY else " bytes")
    )


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _limit(value: int) -> str:
    return "none" if value == resource.RLIM_INFINITY else str(value)


def _gib(value: int) -> str:
    return f"{value / _GIB:.1f} GiB"


Check = Callable[[], Finding]


def checks(system: System, config: Config, folder: Path, stored: Callable[[], list[str]]) -> list[Check]:
    """Returns the checks for a configuration. `folder` is where models are stored, `stored` returns the names of those
    there."""
    servers: list[Check] = [lambda: rtsp_cameras(system)]
    if config.rtsp.enabled:
        servers.append(lambda: rtsp_server(system))
        servers.append(lambda: tls(system, needed=config.rtsp.tls is not None))
        servers.append(lambda: port(system, "rtsp port", config.rtsp.host, config.rtsp.port))
    if config.http.enabled:
        servers.append(lambda: port(system, "http port", config.http.host, config.http.port))
    nvdec_wanted = any(camera.enabled and camera.decoder == "nvdec" for camera in config.cameras.values())
    return [
        lambda: python(system),
        lambda: opencv(system),
        lambda: ffmpeg(system),
        lambda: onnx_runtime(system),
        lambda: nvidia_driver(system),
        lambda: gpu_package(system, "tensorrt", "tensorrt"),
        lambda: gpu_package(system, "pycuda.driver", "pycuda"),
        lambda: nvenc(system),
        lambda: nvdec(system, needed=nvdec_wanted),
        lambda: backends(system, config.engines.backends),
        lambda: models(folder, stored(), fetch=config.models.fetch),
        lambda: cache(system, folder),
        lambda: disk(system, folder),
        *servers,
        lambda: cores(system),
        lambda: memory(system),
        lambda: open_files(system),
        lambda: locked_memory(system),
    ]


def exit_code(findings: Sequence[Finding]) -> int:
    """Returns 0 if everything needed is there, 3 if a backend is missing, 1 if something else is."""
    failed = [finding for finding in findings if finding.failed]
    if any(finding.backend for finding in failed):
        return 3
    return 1 if failed else 0
