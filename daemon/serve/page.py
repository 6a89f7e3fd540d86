"""The page at `/`: each camera's image and the addresses of its streams. Plain HTML without external resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from sightd.daemon.serve.view import CameraEntry, CameraStatus

POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
"""The page's Content-Security-Policy."""

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d6dae0, #2c323b); --card: light-dark(#fff, #181c22);
  --text: light-dark(#1b2027, #e6e9ee); --dim: light-dark(#5b6573, #97a1b0); --accent: light-dark(#0a63c9, #6cb0ff); }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--text);
  background: light-dark(#f3f5f7, #0f1216); }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: baseline; padding: 1rem 1.5rem;
  border-bottom: 1px solid var(--line); background: var(--card); }
h1 { margin: 0; font-size: 1.2rem; letter-spacing: .02em; }
h2 { margin: 0; font-size: 1rem; }
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
nav { display: flex; gap: 1rem; }
main { display: grid; gap: 1.25rem; padding: 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }
article { overflow: hidden; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
article img { display: block; width: 100%; aspect-ratio: 16 / 9; object-fit: contain; background: #000; color: #bbb; }
article div { display: grid; gap: .25rem; padding: .8rem 1rem 1rem; }
span { color: var(--dim); }
code { font-size: .85rem; overflow-wrap: anywhere; user-select: all; color: var(--dim); }
p { padding: 0 1.5rem; color: var(--dim); }
"""


def page(cameras: Sequence[CameraEntry], states: Mapping[str, CameraStatus], host: str) -> str:
    """Returns the HTML. `host` is the name by which the reader reached this machine; RTSP URLs use it."""
    cards = "".join(_card(camera, states.get(camera.name), host) for camera in cameras)
    body = f"<main>{cards}</main>" if cards else "<p>No camera is configured.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>sightd</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><header><h1>sightd</h1><nav>"
        '<a href="/readyz">State</a><a href="/metrics">Metrics</a><a href="/openapi.json">API</a>'
        f"</nav></header>{body}</body></html>"
    )


def _card(camera: CameraEntry, status: CameraStatus | None, host: str) -> str:
    name, title = escape(camera.name), escape(camera.title)
    rtsp = f"<code>{escape(camera.rtsp.url(host))}</code>" if camera.rtsp is not None else ""
    state = "" if status is None else f"<span>{escape(_told(status))}</span>"
    return (
        f'<article><a href="/{name}.mjpg"><img src="/{name}.mjpg" alt="{title}, live"></a>'
        f"<div><h2>{title}</h2>{state}{rtsp}"
        f'<nav><a href="/{name}.mjpg">Live</a><a href="/{name}.jpg">Still</a></nav></div>'
        "</article>"
    )


def _told(status: CameraStatus) -> str:
    """One line for the camera's state at the time the page was generated."""
    size = f", {status.size[0]}×{status.size[1]}" if status.size else ""
    rate = f", {status.fps:.0f} frames a second" if status.fps else ""
    reason = f": {status.reason}" if status.reason else ""
    return f"{status.state}{size}{rate}{reason}"
