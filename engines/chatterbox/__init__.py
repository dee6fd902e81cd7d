"""Chatterbox on the engine's Protocols: its token lane and its audio lane, whatever runs the graphs."""
