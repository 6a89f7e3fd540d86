"""Tests of daemon.faces."""
