"""How commands reach the running daemon: its control socket, and the HTTP client that uses it."""
