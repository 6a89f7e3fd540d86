"""From pictures to bytes."""
