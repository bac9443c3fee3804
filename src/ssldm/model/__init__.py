"""The trained model: its parts and their configuration. Nothing here knows radar."""
