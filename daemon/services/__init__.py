"""Services of plug-ins: what they offer to people through the API and the command line."""
