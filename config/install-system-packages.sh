#!/bin/sh
# Installs the distribution's packages that sightd needs, and those named as arguments, or says which they are.
# Quick where all are there.
set -eu

packages="python3 python3-venv python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base
gstreamer1.0-plugins-good glib-networking libgl1 $*"

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    # No Debian: what counts is whether it works.
    if reason=$("${PYTHON:-/usr/bin/python3}" - 2>&1 <<'PYTHON'
import ctypes, ensurepip, venv
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
for element in ("appsrc", "appsink", "rtph264pay", "rtspsrc", "rtph264depay", "rtph265depay", "rtpjpegdepay"):
    if Gst.ElementFactory.find(element) is None:
        raise SystemExit(f"GStreamer has no element {element}")
ctypes.CDLL("libGL.so.1")
PYTHON
    ); then
        exit 0
    fi
    echo "This system has no apt-get, and something that sightd needs is missing:" >&2
    echo "    $(echo "$reason" | tail -n 1)" >&2
    echo "Install what corresponds to these packages of Debian, then run make again:" >&2
    echo "   " $packages >&2
    exit 3
fi

missing=""
for package in $packages; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

echo "sightd needs these packages of the distribution:$missing"
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null; then
    as_root="sudo"
else
    echo "You are not root and there is no sudo. Ask an administrator to run:" >&2
    echo "    apt-get install --no-install-recommends$missing" >&2
    exit 3
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
