"""The network servers: RTSP, MJPEG, stills, metrics, health and the HTTP API."""
