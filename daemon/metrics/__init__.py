"""Prometheus metrics. Start at `registry.Metrics`."""
