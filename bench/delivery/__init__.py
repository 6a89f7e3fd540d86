"""Measures the delivery of events: how fast a backlog is delivered, and what arrives while receivers fail."""
