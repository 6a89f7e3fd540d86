"""How commands reach the running daemon: an HTTP client of its control socket or web server, and finding the daemon."""
