"""What a script sees of amlcore: its Run, and what it logs."""
