"""The configuration: its options (model), how it is read (load), how errors in it are reported (problems)."""
