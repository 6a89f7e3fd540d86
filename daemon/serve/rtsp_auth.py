"""Who may watch over RTSP, and the certificate of rtsps."""

from __future__ import annotations

from typing import Any

from daemon.config.model import Credentials, Rtsp, Tls
from daemon.serve.errors import TlsError
from daemon.serve.gst import GStreamer

_ROLE = "viewer"


def authentication(options: Rtsp, gstreamer: GStreamer) -> Any | None:
    """A GstRTSPAuth for the server, or None where anybody may watch in the clear."""
    if options.auth is None and options.tls is None:
        return None
    auth = gstreamer.rtsp_server.RTSPAuth()
    auth.set_realm("sightd")
    if options.tls is not None:
        auth.set_tls_certificate(_certificate(options.tls, gstreamer))
    token = gstreamer.rtsp_server.RTSPToken()
    token.set_string("media.factory.role", _ROLE)
    if options.auth is None:
        auth.set_default_token(token)
    else:
        _add_credentials(auth, options.auth, token, gstreamer)
    return auth


def permit(factory: Any, gstreamer: GStreamer) -> None:
    """Lets those whom `authentication` lets in, and nobody else, watch what this factory makes."""
    permissions = gstreamer.rtsp_server.RTSPPermissions()
    permissions.add_role(_ROLE)
    permissions.add_permission_for_role(_ROLE, "media.factory.access", True)
    permissions.add_permission_for_role(_ROLE, "media.factory.construct", True)
    factory.set_permissions(permissions)


def _add_credentials(auth: Any, credentials: Credentials, token: Any, gstreamer: GStreamer) -> None:
    methods = gstreamer.rtsp.RTSPAuthMethod
    password = credentials.password.get_secret_value()
    if credentials.method == "digest":
        auth.set_supported_methods(methods.DIGEST)
        auth.add_digest(credentials.username, password, token)
    else:
        auth.set_supported_methods(methods.BASIC)
        auth.add_basic(gstreamer.rtsp_server.RTSPAuth.make_basic(credentials.username, password), token)


def _certificate(tls: Tls, gstreamer: GStreamer) -> Any:
    if not gstreamer.gio.TlsBackend.get_default().supports_tls():
        raise TlsError(
            "rtsp.tls: GLib has no TLS. Install it with `apt-get install glib-networking`, or remove rtsp.tls."
        )
    try:
        return gstreamer.gio.TlsCertificate.new_from_files(str(tls.certificate), str(tls.key))
    except gstreamer.glib.Error as error:
        raise TlsError(
            f"rtsp.tls: {tls.certificate} with key {tls.key} cannot be used: {error.message}. "
            "Both must be PEM files that this process may read, and the key must be the certificate's own."
        ) from error
