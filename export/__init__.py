"""Weights to graphs: exporting, checking what was exported, fetching models."""
