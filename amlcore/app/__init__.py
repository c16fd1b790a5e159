"""What each verb of `aml` does; nothing here prints."""
