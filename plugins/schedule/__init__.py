"""Weekly schedules in options of the configuration."""
