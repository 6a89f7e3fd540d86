"""A sightd plug-in that finds what moves, and its command."""
