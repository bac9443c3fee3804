"""Observations: open files, units, grid, archive, windows, motion, simulation."""
