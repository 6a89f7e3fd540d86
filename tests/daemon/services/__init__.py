"""Tests of daemon.services."""
