"""WebRTC video for browsers: signalling, transport and packets, without an encoder of its own."""
