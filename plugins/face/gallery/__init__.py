"""The gallery: persons who were enrolled, and those whom nobody has named yet."""
