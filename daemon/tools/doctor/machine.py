"""Checks of the machine: folders, ports, disk, cores, memory, limits, stored models."""

from __future__ import annotations

import resource
from pathlib import Path

from sightd.daemon.tools.doctor.finding import IN_USE, Finding, System

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
