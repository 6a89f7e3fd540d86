"""What the commands do without a running daemon: analyse files, train, quantise, build engines, check the machine."""
