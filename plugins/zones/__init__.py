"""Zones and lines: who is where, who crossed what."""
