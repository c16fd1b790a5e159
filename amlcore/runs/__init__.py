"""The runs of a workspace: found, shown, and brought to their end."""
