"""Access control of both servers: tokens and their roles, users of this machine, throttling of failed logins."""
