"""What administrators change while the daemon runs, for the API: configuration, cameras, plug-ins, rules, models."""
