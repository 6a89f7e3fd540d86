"""Gallery operations that the command line and the web offer."""
