"""What differs between runs: their configuration, code, packages, data, metrics and machines."""
