"""How values are read: Hydra's override grammar, with numbers and text kept as they were typed."""
