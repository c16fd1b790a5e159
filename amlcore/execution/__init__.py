"""How a job is carried out: submitted, driven to its end, registered and packaged."""
