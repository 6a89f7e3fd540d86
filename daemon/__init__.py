"""The running process: capture, scheduling, rendering, streaming, web, metrics; it holds no mathematics."""

import sightd.engines  # noqa: F401 — switches off telemetry before any library is imported
