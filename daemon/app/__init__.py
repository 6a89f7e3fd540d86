"""The running daemon: cameras, health, reload, main loop, systemd."""
