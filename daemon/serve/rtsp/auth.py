"""RTSP authentication, the rtsps certificate, and session ids that cannot be guessed."""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from sightd.daemon.config.model import Rtsp, Tls
from sightd.daemon.serve.auth import Access, Server
from sightd.daemon.serve.errors import TlsError
from sightd.daemon.serve.rtsp.gstreamer import GStreamer

_ROLE = "viewer"
_SERVER: Server = "rtsp"
_CHECK_ADDRESS, _CHECK_SETTINGS = "auth.check.url", "auth.check.transport.client-settings"
"""Values of GST_RTSP_AUTH_CHECK_URL and GST_RTSP_AUTH_CHECK_TRANSPORT_CLIENT_SETTINGS."""


def authentication(options: Rtsp, access: Access, gstreamer: GStreamer) -> Any | None:
    """Returns a GstRTSPAuth for the server, or None if anyone may watch, without TLS.

    Accepts the user and password of `options.auth` and every token, all of which may watch. Raises TlsError if the
    certificate cannot be used.
    """
    known = list(_credentials(options, access))
    if not known and options.tls is None:
        return None
    auth = _watchful(gstreamer)(access)
    auth.set_realm("sightd")
    if options.tls is not None:
        certificate, auth.certificate_digest = _certificate(options.tls, gstreamer)
        auth.set_tls_certificate(certificate)
    token = gstreamer.rtsp_server.RTSPToken()
    token.set_string("media.factory.role", _ROLE)
    if not known:
        auth.set_default_token(token)
    basic = options.auth is not None and options.auth.method == "basic"
    methods = gstreamer.rtsp.RTSPAuthMethod
    auth.set_supported_methods(methods.BASIC if basic else methods.DIGEST)
    for name, password in known:
        if basic:
            auth.add_basic(gstreamer.rtsp_server.RTSPAuth.make_basic(name, password), token)
        else:
            auth.add_digest(name, password, token)
    return auth


def renewal(auth: Any, tls: Tls, gstreamer: GStreamer) -> Callable[[], None] | None:
    """Reads the certificate and its key again. Returns a function that makes `auth` use them for new connections; None
    if they have not changed. Raises TlsError if they cannot be used. Any thread."""
    certificate, digest = _certificate(tls, gstreamer)

    def renew() -> None:
        auth.set_tls_certificate(certificate)
        auth.certificate_digest = digest

    return None if digest == auth.certificate_digest else renew


def permit(factory: Any, gstreamer: GStreamer) -> None:
    """Restricts what this factory serves to clients that `authentication` accepts."""
    permissions = gstreamer.rtsp_server.RTSPPermissions()
    permissions.add_role(_ROLE)
    permissions.add_permission_for_role(_ROLE, "media.factory.access", True)
    permissions.add_permission_for_role(_ROLE, "media.factory.construct", True)
    factory.set_permissions(permissions)


def _credentials(options: Rtsp, access: Access) -> Iterator[tuple[str, str]]:
    if options.auth is not None:
        yield options.auth.username, options.auth.password.get_secret_value()
    for name, token in access.tokens.items():
        yield name, token.token.get_secret_value()


@functools.cache
def _watchful(gstreamer: GStreamer) -> type[Any]:
    """Returns a GstRTSPAuth class that counts failed logins, ignores those from throttled addresses, and requires a
    password before it reveals whether a camera exists.

    Defined in a function because its base exists only once GStreamer is loaded. Its methods run on GStreamer's threads.
    """
    base: Any = gstreamer.rtsp_server.RTSPAuth
    header = gstreamer.rtsp.RTSPHeaderField.AUTHORIZATION
    methods = gstreamer.rtsp.RTSPMethod
    looks_for_a_camera = methods.DESCRIBE | methods.ANNOUNCE | methods.SETUP

    def has_another(request: Any) -> bool:
        try:
            return bool(request.get_header(header, 1)[0] == gstreamer.rtsp.RTSPResult.OK)
        except UnicodeDecodeError:
            return True

    class WatchfulAuth(base):  # type: ignore[misc]
        def __init__(self, access: Access) -> None:
            super().__init__()
            self._access = access
            self.certificate_digest = b""

        def do_check(self, context: Any, check: str) -> bool:
            """Requires a password when a camera is looked up; GStreamer checks a request's URL first."""
            if check == _CHECK_ADDRESS and context.method & looks_for_a_camera:
                base.do_check(self, context, _CHECK_SETTINGS)  # answers 401 with the challenge if there is no token
                return context.token is not None
            return bool(base.do_check(self, context, check))

        def do_authenticate(self, context: Any) -> bool:
            """Returns True even without a token: the answer is then 401 with the challenge."""
            try:
                found, given = context.request.get_header(header, 0)
            except UnicodeDecodeError:  # raised by PyGObject if the header is not UTF-8
                self._access.refused(_SERVER, context.conn.get_ip(), "wrong")
                return True
            if found != gstreamer.rtsp.RTSPResult.OK or not given:
                return bool(base.do_authenticate(self, context))
            address = context.conn.get_ip()
            if self._access.login_throttles[_SERVER].wait(address):
                self._access.refused(_SERVER, address, "limited")
                return True
            if has_another(context.request):  # GStreamer would try each header: a hundred guesses in one request
                self._access.refused(_SERVER, address, "wrong")
                return True
            passed = bool(base.do_authenticate(self, context))
            if context.token is None:
                self._access.refused(_SERVER, address, "wrong", given if given.lower().startswith("basic") else None)
            return passed

    return WatchfulAuth


def _certificate(tls: Tls, gstreamer: GStreamer) -> tuple[Any, bytes]:
    """Returns the GTlsCertificate, and a digest of its files. Raises TlsError."""
    if not gstreamer.gio.TlsBackend.get_default().supports_tls():
        raise TlsError(
            "rtsp.tls: GLib has no TLS. Install it with `apt-get install glib-networking`, or remove rtsp.tls."
        )
    try:
        digest = hashlib.sha256(tls.certificate.read_bytes() + tls.key.read_bytes()).digest()
        return gstreamer.gio.TlsCertificate.new_from_files(str(tls.certificate), str(tls.key)), digest
    except (OSError, gstreamer.glib.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise TlsError(
            f"rtsp.tls: {tls.certificate} with key {tls.key} cannot be used: {reason}. Both must be PEM "
            "files that this process can read, and the key must belong to the certificate."
        ) from error


_BYTES = 16


def session_pool(gstreamer: GStreamer) -> Any:
    """Returns a GstRTSPSessionPool."""
    return _pool_class(gstreamer)()


@functools.cache
def _pool_class(gstreamer: GStreamer) -> Any:
    """GStreamer derives session ids and the public nonces from one Mersenne Twister: anyone who sees 312 nonces can
    predict all later ids."""

    class Pool(gstreamer.rtsp_server.RTSPSessionPool):  # type: ignore[name-defined,misc]
        __gtype_name__ = "SightdSessionPool"

        def do_create_session_id(self) -> str:
            return secrets.token_urlsafe(_BYTES)

    return Pool
