"""Frame processing: the plug-in contract, the data types and the built-in plug-ins. Never imports `daemon`."""

import sightd.engines  # noqa: F401 — disables telemetry before any library is imported
