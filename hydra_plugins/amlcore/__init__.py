"""What Hydra finds of amlcore by itself; imported by every Hydra program, so thin."""
