"""The event journal: `journal.Journal` writes it, `journal_reader` reads it."""
