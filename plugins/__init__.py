"""What is done to frames: the contract, the data types, and the plug-ins that ship. Never imports `daemon`."""

import sightd.engines  # noqa: F401 — switches off telemetry before any library is imported
