"""Plug-ins in their own processes: the messages, the process's life cycle, and the daemon's proxy."""
