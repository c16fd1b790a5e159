"""The proof that a faster predict path equals the model."""
