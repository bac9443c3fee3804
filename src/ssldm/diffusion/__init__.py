"""Objective and sampling; a denoiser is known only as a callable."""
