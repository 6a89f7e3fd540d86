"""The running process: capture, scheduling, rendering, streaming, web, metrics. Contains no mathematics."""

import sightd.engines  # noqa: F401 — disables telemetry before any library is imported
