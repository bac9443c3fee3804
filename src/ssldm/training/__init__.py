"""Losses, data and Lightning modules; nothing that a forecast needs."""
