"""The names of Azure ML's Python API (v1)."""
