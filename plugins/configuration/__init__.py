"""What the configuration names: installed plug-ins, their chain, and models."""
