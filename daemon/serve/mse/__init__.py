"""Live video over a WebSocket, as fragmented MP4 for Media Source Extensions."""
