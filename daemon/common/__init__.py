"""What every package of the daemon may use: redaction, log throttling, progress, streams, process settings."""
