"""Benchmarks that report ratios, one command each."""

import sightd.engines  # noqa: F401 — switches off telemetry before any library is imported
