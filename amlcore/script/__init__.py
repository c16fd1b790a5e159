"""The script that a run executes."""
