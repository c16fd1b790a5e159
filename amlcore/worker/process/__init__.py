"""The processes that run a script: the worker, its children and what supervises them."""
