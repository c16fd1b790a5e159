"""The source folder of a run, kept by content."""
