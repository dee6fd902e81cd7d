"""Our own modules of Chatterbox: written from the architecture, state in and state out, ready to export."""
