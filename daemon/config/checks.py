"""What single options cannot say: faults between sections, and what deserves a warning."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from daemon.capture.source import CaptureError, source_of
from daemon.config.model import Camera, Config, Tls
from daemon.config.positions import Positions
from daemon.config.problems import PathKey, Problem, closest, dotted
from daemon.config.source_guess import address_meant
from engines.regular_file import open_regular

NO_CAMERAS = "cameras: {test: {source: testpattern://}}"
_TOKENS = "add access.tokens (`sightd token` makes one), or listen on 127.0.0.1"
_SOURCES = ("rtsp", "rtsps", "http", "https", "testpattern", "file")


class Checks:
    """Faults of a configuration that is valid part by part. File paths in it are absolute already.

    `written` is the same with the paths as they stand in the file. Not `whole`: parts with faults were left out.
    """

    def __init__(self, config: Config, positions: Positions, written: Config, *, whole: bool = True) -> None:
        self._config, self._positions, self._written, self._whole = config, positions, written, whole

    def problems(self) -> Iterator[Problem]:
        """What keeps the daemon from starting."""
        if not self._config.cameras:
            yield self._problem(("cameras",), "there is no camera", f"write at least {NO_CAMERAS}")
        elif not any(camera.enabled for camera in self._config.cameras.values()):
            yield self._problem(("cameras",), "every camera is switched off", "write enabled: true for one")
        for name, camera in self._config.cameras.items():
            yield from self._source(("cameras", name), camera)
        yield from self._servers()
        yield from self._access()
        for section, tls in (("rtsp", self._config.rtsp.tls), ("http", self._config.http.tls)):
            yield from self._tls(section, tls) if tls else ()

    def warnings(self) -> Iterator[Problem]:
        """What works and is probably not meant."""
        rtsp = self._config.rtsp
        if rtsp.auth and rtsp.auth.method == "basic" and rtsp.tls is None and not is_loopback(rtsp.host):
            yield self._problem(
                ("rtsp", "auth", "method"),
                "basic sends the password readable over the network",
                "write method: digest, or add tls:",
            )
        http = self._config.http
        if http.enabled and http.tls is None and not is_loopback(http.host):
            hint = "add http.tls:, or have a proxy that speaks TLS in front and listen on 127.0.0.1"
            yield self._problem(("http", "host"), "tokens and pictures go readable over the network", hint)
        for name, camera in self._config.cameras.items():
            path: PathKey = ("cameras", name, "source")
            source = camera.source.get_secret_value()
            if camera.enabled and "://" not in source and not _exists(_file_of(source)):
                meant = address_meant(self._written.cameras[name].source.get_secret_value())
                hint = f"did you mean {meant}?" if meant else "it is tried again while it runs"
                yield self._problem(path, "there is no such file or device now", hint)
        for name in self._unused() if self._whole else ():
            yield self._problem(("plugins", name), "no chain names this entry", f"chain: [{name}]")

    def _source(self, path: PathKey, camera: Camera) -> Iterator[Problem]:
        """Says nothing of the address itself but what is redacted: it may hold a password."""
        source, path = camera.source.get_secret_value(), (*path, "source")
        scheme, separator, rest = source.partition("://")
        known = "write one of rtsp://, rtsps://, http://, https://, testpattern://, a file's path or /dev/videoN"
        if not source.strip():
            yield self._problem(path, "is empty", known)
        elif separator and scheme.lower() not in _SOURCES:
            meant = closest(scheme, _SOURCES)
            ending = f"; did you mean {meant}://?" if meant else ""
            yield self._problem(path, f"an address of a kind that is not known{ending}", known)
        elif separator and scheme.lower() not in ("testpattern", "file") and not rest.rpartition("@")[2].split("/")[0]:
            yield self._problem(path, "an address without a host", "write rtsp://HOST/PATH")
        elif (not separator or scheme.lower() == "file") and _is_folder(Path(rest if separator else source)):
            yield self._problem(path, "is a folder", "write a video file's path")
        else:
            try:
                source_of(camera)
            except CaptureError as error:
                yield self._problem(path, "cannot be used", str(error))

    def _servers(self) -> Iterator[Problem]:
        rtsp, http = self._config.rtsp, self._config.http
        if rtsp.enabled and http.enabled and rtsp.port == http.port != 0:
            yield self._problem(("http", "port"), f"{http.port} is the RTSP server's port too", "write another one")
        if rtsp.auth and not rtsp.auth.password.get_secret_value():
            yield self._problem(("rtsp", "auth", "password"), "is empty", "write password: ${env:RTSP_PASSWORD}")

    def _access(self) -> Iterator[Problem]:
        """A server that others can reach lets nobody in unasked."""
        config, tokens = self._config, self._config.access.tokens
        if config.http.enabled and not tokens and not is_loopback(config.http.host):
            yield self._problem(("http", "host"), "whoever reaches it over the network could see everything", _TOKENS)
        if config.rtsp.enabled and not tokens and config.rtsp.auth is None and not is_loopback(config.rtsp.host):
            hint = f"add rtsp.auth, or {_TOKENS}"
            yield self._problem(("rtsp", "host"), "everybody on the network could watch", hint)
        if config.rtsp.auth and config.rtsp.auth.username in tokens:
            hint = "write another name: each has its own password over RTSP"
            yield self._problem(("rtsp", "auth", "username"), "is the name of a token, too", hint)
        for number, proxy in enumerate(config.http.proxies):
            if not _is_address(proxy):
                hint = "write its address: 127.0.0.1, or a network: 10.0.0.0/8"
                yield self._problem(("http", "proxies", number), "is no address", hint)
        known: dict[str, str] = {}
        for name, token in tokens.items():
            text = token.token.get_secret_value()
            if not (text.isascii() and text.isprintable() and " " not in text):
                hint = "make one: `sightd token`"
                message = "has characters that cannot be sent in a header"
                yield self._problem(("access", "tokens", name, "token"), message, hint)
            same = known.setdefault(text, name)
            if same != name:
                hint = "make another: `sightd token`"
                yield self._problem(("access", "tokens", name, "token"), f"is that of {same}, too", hint)

    def _tls(self, section: str, tls: Tls) -> Iterator[Problem]:
        for option in ("certificate", "key"):
            path: Path = getattr(tls, option)
            try:
                with open_regular(path) as file:
                    if b"-----BEGIN " not in file.read(2**16):
                        yield self._problem((section, "tls", option), "is no PEM file", "convert it with openssl")
            except OSError as error:
                message = f"cannot read {path}: {error.strerror}"
                hint = "mend the path, which counts from this file, or let the service's user read it"
                yield self._problem((section, "tls", option), message, hint)

    def _unused(self) -> list[str]:
        named = set(self._config.chain)
        for camera in self._config.cameras.values():
            named.update(camera.chain or ())
        return [name for name in self._config.plugins if name not in named]

    def _problem(self, path: PathKey, message: str, hint: str) -> Problem:
        return Problem(*self._positions.value(path), dotted(path), message, hint)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(text: str) -> bool:
    """Of a host or a network."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _file_of(source: str) -> Path:
    """The file of a source without a scheme; a device's options stand behind a "?"."""
    return Path(source.partition("?")[0] if source.startswith("/dev/") else source)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
