"""The gallery: enrolled persons, and unknown persons who have not been named yet."""
