"""A cheap map of what has changed in a camera's picture since a model last looked at it."""
