"""The page of `aml ui`: MLflow's own, served over the record and read-only."""
