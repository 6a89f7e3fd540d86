"""What leaves the daemon over the network: RTSP, MJPEG, stills, metrics and health."""
