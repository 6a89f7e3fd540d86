"""The daemon as a systemd service: unit, notifications, watchdog, reloads, signals."""
