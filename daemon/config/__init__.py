"""The configuration: what may be written (model), how it is read (load), how faults in it are told (problems)."""
