"""Runtimes behind two Protocols; each file imports its own and no other does."""
