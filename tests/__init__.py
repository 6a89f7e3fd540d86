import sightd.engines  # noqa: F401 — switches off telemetry before any library is imported
