"""Ratios: what amlcore costs beside what else does the job."""
