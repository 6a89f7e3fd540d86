"""Checks whether this machine has what the daemon needs: small checks, each of which says what to do."""
