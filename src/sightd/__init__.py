"""sightd: a real-time video daemon. Its parts are the folders that this one links to: daemon, plugins, engines."""
