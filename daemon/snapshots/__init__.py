"""Pictures of events: as viewers see them and without annotations, redacted if the camera's chain redacts."""
