"""The RTSP server: each camera's packets, encoded once, for every viewer."""
