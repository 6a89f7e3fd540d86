"""How commands reach the daemon that runs: its control socket, and the HTTP client that uses it."""
