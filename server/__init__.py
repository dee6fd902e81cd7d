"""The server: HTTP, WebSocket and RTP around one engine. Start it by `talkspurt serve`."""
