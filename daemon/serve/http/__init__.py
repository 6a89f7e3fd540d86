"""The web server: one application with its routes, served over TCP and over the control socket."""
