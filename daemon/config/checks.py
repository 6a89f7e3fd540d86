"""Checks across options and sections: errors that no single option shows, and warnings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath

from sightd.daemon.common.redaction import ADDRESSES, NETWORK, SOURCES, SUPPORTED
from sightd.daemon.config.delivery import problems_of
from sightd.daemon.config.diff import chain_of
from sightd.daemon.config.login import oidc_problems, proxy_problems
from sightd.daemon.config.model import Camera, Config, Http, Reconnect, Rtsp, Tls
from sightd.daemon.config.onvif import onvif_problems
from sightd.daemon.config.problems import LocatedProblem, PathKey, Positions
from sightd.daemon.config.section import is_loopback
from sightd.daemon.config.source import InvalidSourceError, source_of
from sightd.engines.files import irregular_kind, open_regular
from sightd.engines.text import closest, did_you_mean

_SLIPPED = re.compile(r"([A-Za-z]{4,12})(:/?|//)(?!/)")
_HOST = re.compile(
    r"([^/@\s]+@)"  # user and password
    r"|(\d{1,3}\.){3}\d{1,3}([:/]|$)"
    r"|[A-Za-z0-9.-]+:\d{2,5}(/|$)"
    r"|([A-Za-z0-9-]+\.)+[A-Za-z]{2,}/"
    r"|localhost(/|$)"
)
_FILES = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".ts", ".m4v", ".mpg", ".mpeg", ".h264", ".flv", ".mjpeg"}


def address_meant(source: str) -> str | None:
    """Returns the form of address that was probably meant by a source that is not a file: "rtsp://HOST/PATH".

    Returns None if it looks like a file. No part of the source is quoted: it may contain a password.
    """
    if source.strip().rstrip(":/").lower() == "testpattern":
        return "testpattern://"
    if (slipped := _SLIPPED.match(source)) and (schemes := closest(slipped[1], ADDRESSES)):
        return "testpattern://" if schemes[0] == "testpattern" else f"{schemes[0]}://HOST/PATH"
    looks_like_file = PurePath(source).suffix.lower() in _FILES or source.startswith(("/", ".", "~"))
    return "rtsp://HOST/PATH" if not looks_like_file and _HOST.match(source) else None


NO_CAMERAS = "cameras: {test: {source: testpattern://}}"
_TOKENS = "add access.tokens (`sightd token` creates one), or listen on 127.0.0.1"
_EXPIRES_SOON = 14
"""Days before a certificate expires from which on there is a warning."""
_CHECKED_TOGETHER = (("width", "height", "fps"), ("decoder", "deinterlace"))


class Checks:
    """Finds errors in a configuration whose options are valid one by one. Its file paths are absolute already.

    `written` is the same with the paths as in the file. Options at or below a path in `lost` are unknown: they have
    their default, and no error is reported that might come from that.
    """

    def __init__(
        self,
        config: Config,
        positions: Positions,
        written: Config,
        lost: Collection[PathKey] = frozenset(),
        tracks: Callable[[Sequence[str]], bool] = lambda _chain: True,
    ) -> None:
        """`tracks` returns whether a plug-in of a chain tracks objects."""
        self._config, self._positions, self._written, self._lost = config, positions, written, lost
        self._tracks = tracks

    def problems(self) -> Iterator[LocatedProblem]:
        """Yields what keeps the daemon from starting."""
        if not self._config.cameras:
            yield self._problem(("cameras",), "there is no camera", f"write at least {NO_CAMERAS}")
        elif not any(camera.enabled for camera in self._config.cameras.values()):
            yield self._problem(("cameras",), "every camera is disabled", "set enabled: true for at least one")
        for name, camera in self._config.cameras.items():
            yield from self._source(("cameras", name), self._known_part(name, camera))
            yield from self._reconnect(("cameras", name, "reconnect"), camera.reconnect)
            yield from self._onvif(("cameras", name), camera)
        yield from self._servers()
        yield from self._access()
        for section, tls in (("rtsp", self._config.rtsp.tls), ("http", self._config.http.tls)):
            yield from self._tls(section, tls) if tls else ()
        for below, message, hint in problems_of(self._config.delivery):
            yield self._problem(("delivery", *below), message, hint)

    def warnings(self) -> Iterator[LocatedProblem]:
        """Yields what works but is probably not intended."""
        rtsp = self._config.rtsp
        basic_over_tls = rtsp.tls is not None or self._is_lost("rtsp", "tls")
        if rtsp.auth and rtsp.auth.method == "basic" and not basic_over_tls and not is_loopback(rtsp.host):
            yield self._problem(
                ("rtsp", "auth", "method"),
                "basic sends the password in clear text over the network",
                "write method: digest, or add tls:",
            )
        http = self._config.http
        if http.enabled and http.tls is None and not self._is_lost("http", "tls") and not is_loopback(http.host):
            hint = "add http.tls:, or listen on 127.0.0.1 behind a TLS reverse proxy"
            message = "tokens and video are sent in clear text over the network"
            yield self._problem(("http", "host"), message, hint)
        yield from self._limits()
        for section, server in (("rtsp", rtsp), ("http", http)):
            if server.enabled and server.tls is not None:
                yield from self._expiry((section, "tls", "certificate"), server.tls.certificate)
        for name, camera in self._config.cameras.items():
            path: PathKey = ("cameras", name, "source")
            source = camera.source.get_secret_value()
            if camera.allowed_hosts and not source.lower().startswith(("http://", "https://")):
                message = "has no effect: only http:// and https:// sources are followed to another host"
                yield self._problem((*path[:-1], "allowed_hosts"), message, "remove it")
            if camera.enabled and "://" not in source and not _exists(_file_of(source)):
                meant = address_meant(self._written.cameras[name].source.get_secret_value())
                hint = f"did you mean {meant}?" if meant else "the daemon keeps trying to open it"
                yield self._problem(path, "no such file or device exists at the moment", hint)
        for name, sink in self._config.delivery.sinks.items():
            yield from self._unknown_cameras(("delivery", "sinks", name), sink.cameras)
        if (snapshots := self._config.events.snapshots) is not None:
            yield from self._unknown_cameras(("events", "snapshots"), snapshots.cameras)
        for name in self._unused() if self._knows_chains else ():
            yield self._problem(("plugins", name), "no chain uses this entry", f"write chain: [{name}]")

    def _unknown_cameras(self, path: PathKey, names: Sequence[str] | None) -> Iterator[LocatedProblem]:
        for number, wanted in enumerate(names or ()):
            if wanted not in self._config.cameras and not self._is_lost("cameras"):
                yield self._problem((*path, "cameras", number), f"there is no camera {wanted}", "correct the name")

    def _limits(self) -> Iterator[LocatedProblem]:
        """Limits that another, lower limit makes ineffective; only those that the file sets."""
        for section, options in (("rtsp", self._config.rtsp), ("http", self._config.http)):
            total = options.max_connections
            for option in ("max_connections_per_address", "max_viewers"):
                value = getattr(options, option, 0)
                if option in options.model_fields_set and value > total:
                    message = f"{value} cannot be reached: max_connections is {total}"
                    hint = f"write {total} or less, or raise max_connections"
                    yield self._problem((section, option), message, hint)

    def _reconnect(self, path: PathKey, reconnect: Reconnect) -> Iterator[LocatedProblem]:
        """Rejects an `initial_delay` above `max_delay` only if the file sets it: the default is cut to `max_delay`."""
        initial, maximum = reconnect.initial_delay, reconnect.max_delay
        if initial > maximum and "initial_delay" in reconnect.model_fields_set and not self._is_lost(*path):
            message = f"initial_delay ({initial:g} s) is greater than max_delay ({maximum:g} s)"
            hint = f"lower initial_delay, or write max_delay: {initial:g}s or more"
            yield self._problem((*path, "initial_delay"), message, hint)

    def _onvif(self, path: PathKey, camera: Camera) -> Iterator[LocatedProblem]:
        if not self._is_lost(*path, "onvif") and not self._is_lost(*path, "ptz"):
            for below, message, hint in onvif_problems(camera.onvif, camera.ptz):
                yield self._problem((*path, *below), message, hint)
            follows = camera.ptz is not None and camera.ptz.follow is not None
            if follows and self._knows_chains and not self._tracks(chain_of(self._config, camera)):
                message, hint = (
                    "needs a plug-in that tracks objects",
                    "write chain: [detector, tracker] for this camera",
                )
                yield self._problem((*path, "ptz", "follow"), message, hint)

    def _known_part(self, name: str, camera: Camera) -> Camera:
        """Returns the camera with the default for each option that is checked together with an unknown one."""
        unknown = [
            option
            for group in _CHECKED_TOGETHER
            if any(self._is_lost("cameras", name, option) for option in group)
            for option in group
        ]
        fields = Camera.model_fields
        return camera.model_copy(update={option: fields[option].default for option in unknown})

    def _is_lost(self, *path: str | int) -> bool:
        return any(path[: len(lost)] == lost or lost[: len(path)] == path for lost in self._lost)

    @property
    def _knows_chains(self) -> bool:
        cameras = [path for path in self._lost if path[:1] == ("cameras",)]
        return not self._is_lost("chain") and all(len(path) > 2 and path[2] != "chain" for path in cameras)

    def _source(self, path: PathKey, camera: Camera) -> Iterator[LocatedProblem]:
        """Shows the address only redacted: it may contain a password."""
        source, path = camera.source.get_secret_value(), (*path, "source")
        scheme, separator, rest = source.partition("://")
        known = f"write one of {SUPPORTED}"
        if not source.strip():
            yield self._problem(path, "is empty", known)
        elif separator and scheme.lower() not in SOURCES:
            yield self._problem(path, f"unknown kind of address{did_you_mean(scheme, SOURCES)}", known)
        elif separator and scheme.lower() in NETWORK and not rest.rpartition("@")[2].split("/")[0]:
            yield self._problem(path, "the address has no host", "write rtsp://HOST/PATH")
        elif kind := _kind_instead_of_a_file(source):
            yield self._problem(path, f"is {kind}", "write the path of a video file, or /dev/videoN for a camera")
        else:
            try:
                source_of(camera)
            except InvalidSourceError as error:
                yield self._problem(path, "cannot be used", str(error))

    def _servers(self) -> Iterator[LocatedProblem]:
        rtsp, http = self._config.rtsp, self._config.http
        known = not any(self._is_lost(section, key) for section in ("rtsp", "http") for key in ("port", "enabled"))
        if known and rtsp.enabled and http.enabled and rtsp.port == http.port != 0:
            yield self._problem(("http", "port"), f"{http.port} is also the port of rtsp", "write another port")
        if rtsp.auth and not rtsp.auth.password.get_secret_value():
            yield self._problem(("rtsp", "auth", "password"), "is empty", "write password: ${env:RTSP_PASSWORD}")

    def _access(self) -> Iterator[LocatedProblem]:
        """Requires authentication for a server that other machines can reach."""
        config, tokens = self._config, self._config.access.tokens
        known = not self._is_lost("access")
        is_open = known and not tokens
        if known and not config.access.over_http and self._serves("http", config.http):
            yield self._problem(("http", "host"), "anyone on the network could see everything", _TOKENS)
        no_auth = is_open and config.rtsp.auth is None and not self._is_lost("rtsp", "auth")
        if no_auth and self._serves("rtsp", config.rtsp):
            hint = f"add rtsp.auth, or {_TOKENS}"
            yield self._problem(("rtsp", "host"), "anyone on the network could watch", hint)
        if config.rtsp.auth and config.rtsp.auth.username in tokens:
            hint = "write another name: each has its own password over RTSP"
            yield self._problem(("rtsp", "auth", "username"), "is also the name of a token", hint)
        for number, proxy in enumerate(config.http.proxies):
            if not _is_address(proxy):
                hint = "write an address (127.0.0.1) or a network (10.0.0.0/8)"
                yield self._problem(("http", "proxies", number), "is not an IP address", hint)
        yield from self._logins()
        texts: dict[str, str] = {}
        for name, token in tokens.items():
            text = token.token.get_secret_value()
            if not (text.isascii() and text.isprintable() and " " not in text):
                hint = "create one with `sightd token`"
                message = "contains characters that cannot be sent in an HTTP header"
                yield self._problem(("access", "tokens", name, "token"), message, hint)
            same = texts.setdefault(text, name)
            if same != name:
                hint = "create another with `sightd token`"
                yield self._problem(("access", "tokens", name, "token"), f"is the same as the token of {same}", hint)

    def _logins(self) -> Iterator[LocatedProblem]:
        access = self._config.access
        if access.proxy is not None:
            has_proxies = bool(self._config.http.proxies) or self._is_lost("http", "proxies")
            for below, message, hint in proxy_problems(access.proxy, has_proxies):
                yield self._problem(("access", "proxy", *below), message, hint)
        if access.oidc is not None:
            for below, message, hint in oidc_problems(access.oidc):
                yield self._problem(("access", "oidc", *below), message, hint)

    def _serves(self, section: str, server: Rtsp | Http) -> bool:
        """Whether other machines can reach the server."""
        return server.enabled and not self._is_lost(section, "enabled") and not is_loopback(server.host)

    def _tls(self, section: str, tls: Tls) -> Iterator[LocatedProblem]:
        problems = [*self._tls_files(section, tls)]
        if not problems and (fault := _pair_fault(tls)):
            option, message, hint = fault
            problems.append(self._problem((section, "tls", option), message, hint))
        yield from problems

    def _tls_files(self, section: str, tls: Tls) -> Iterator[LocatedProblem]:
        for option in ("certificate", "key"):
            path: Path = getattr(tls, option)
            try:
                with open_regular(path) as file:
                    if b"-----BEGIN " not in file.read(2**16):
                        yield self._problem((section, "tls", option), "is not a PEM file", "convert it with openssl")
            except OSError as error:
                message = f"cannot read {path}: {error.strerror}"
                hint = "correct the path (relative to this file), or let the service's user read the file"
                yield self._problem((section, "tls", option), message, hint)

    def _expiry(self, path: PathKey, certificate: Path) -> Iterator[LocatedProblem]:
        """Warns if the server's own certificate, the first in its file, has expired or soon will."""
        from cryptography import x509

        hint = "renew it, then run `sightd reload`"
        try:
            with open_regular(certificate) as file:
                end = x509.load_pem_x509_certificate(file.read()).not_valid_after_utc
        except OSError:
            return  # reported as a problem
        except ValueError:
            yield self._problem(path, "its expiry date cannot be read", hint)
            return
        left = end - datetime.now(UTC)
        if left.total_seconds() <= 0:
            yield self._problem(path, f"expired on {end:%Y-%m-%d %H:%M} UTC: clients refuse it", hint)
        elif left.days < _EXPIRES_SOON:
            yield self._problem(path, f"expires on {end:%Y-%m-%d %H:%M} UTC, in less than {left.days + 1} d", hint)

    def _unused(self) -> list[str]:
        named = set(self._config.chain)
        for camera in self._config.cameras.values():
            named.update(camera.chain or ())
        return [name for name in self._config.plugins if name not in named]

    def _problem(self, path: PathKey, message: str, hint: str) -> LocatedProblem:
        return self._positions.located(path, message, hint)


class _EncryptedKeyError(Exception):
    """A key needs a passphrase."""


def _pair_fault(tls: Tls) -> tuple[str, str, str] | None:
    """Returns option, message and hint if a server cannot use the certificate with the key; None if it can. OpenSSL
    would ask for a key's passphrase on the terminal, and GStreamer serves a key that does not match the certificate."""
    import ssl

    def refuse() -> str:
        raise _EncryptedKeyError

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, refuse)
    except _EncryptedKeyError:
        hint = f"decrypt it: openssl pkey -in {tls.key} -out NEW.pem, and let only the service's user read the result"
        return "key", "is encrypted with a passphrase, which a service cannot enter", hint
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            hint = "name the key that the certificate was made for; in its file the server's certificate comes first"
            return "key", "does not belong to the certificate", hint
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return "certificate", f"cannot be used with the key: {reason}", "both must be whole PEM files"
    return None


def _is_address(text: str) -> bool:
    """Whether it is the address of a host or a network."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _file_of(source: str) -> Path:
    """Returns the file of a source without a scheme; a device's options follow a "?"."""
    return Path(source.partition("?")[0] if source.startswith("/dev/") else source)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long, or the folder is not accessible
        return False


def _kind_instead_of_a_file(source: str) -> str | None:
    """Returns what is at the path of a source's video file, such as "a directory"; None if there is nothing or a
    regular file."""
    scheme, separator, rest = source.partition("://")
    if (separator and scheme.lower() != "file") or source.startswith("/dev/video"):
        return None
    return irregular_kind(Path(rest if separator else source))
