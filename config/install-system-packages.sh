#!/bin/sh
# Installs the distribution's packages that sightd needs, or says which they are. Quick where all are there.
set -eu

packages="python3 python3-venv python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base
gstreamer1.0-plugins-good glib-networking libgl1 $*"

missing=""
for package in $packages; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

echo "sightd needs these packages of the distribution:$missing"
if ! command -v apt-get >/dev/null; then
    echo "This system has no apt-get. Install what corresponds to them, then run make again." >&2
    exit 3
fi
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
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
