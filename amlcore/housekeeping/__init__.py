"""Keeping house: what is removed, archived and pruned, and what the files of a workspace take."""
