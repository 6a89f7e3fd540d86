"""Network access control: tokens and their roles, throttling of failed logins, and the web server's authentication."""
