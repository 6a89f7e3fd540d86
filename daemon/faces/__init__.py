"""The gallery's desk: what the command line and the web offer of it."""
