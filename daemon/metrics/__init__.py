"""What sightd tells Prometheus. `registry.Metrics` is the entrance."""
