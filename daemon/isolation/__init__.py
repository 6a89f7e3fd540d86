"""Opens plug-ins, in this process or in one of their own: protocol, the process's life cycle, the daemon's proxy."""
