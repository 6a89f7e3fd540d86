"""What happened, kept: `journal.Journal` is where it is written, `reading` where it is read."""
