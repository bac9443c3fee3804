"""Scores, baselines and report: NumPy and xarray only."""
