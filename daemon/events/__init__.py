"""The event journal: `journal.Journal` writes it, `reading` reads it."""
