"""The runs of a workspace: finding, showing and ending them."""
