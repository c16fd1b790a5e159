"""The record of a run: its folder on disk."""
