"""Who may do what over the network: tokens and their roles, how often somebody may guess, and the web server's door."""
