"""The server of the page, which runs in an interpreter with MLflow; nothing outside of this folder imports it."""
