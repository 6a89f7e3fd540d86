"""The `sightd` command line. A command is a module: `add` declares arguments, `run` returns the exit code."""
