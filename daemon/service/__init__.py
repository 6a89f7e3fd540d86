"""The daemon as a service: what its supervisor asks and is told."""
