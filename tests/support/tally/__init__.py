"""A plug-in of somebody else that has a service: a number in a file, which people look at and add to."""
