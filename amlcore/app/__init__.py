"""What each verb of `aml` does; only the output of a run or sweep that is followed is written here."""
