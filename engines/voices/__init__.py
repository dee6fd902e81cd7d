"""Voices: what makes one, where it is kept, and how a recording becomes one."""
