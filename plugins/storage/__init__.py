"""Persistent state: SQLite databases, and a clock for deletion by age."""
