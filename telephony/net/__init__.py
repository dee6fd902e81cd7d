"""Thin asyncio shells: the clock and the sockets."""
