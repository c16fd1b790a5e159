"""A model becomes a Bento, and a Bento a live service."""
