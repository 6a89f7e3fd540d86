"""Persistent state: its directory, SQLite databases, and a clock for deletion by age."""
