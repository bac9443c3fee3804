"""Answers by subject."""
