"""From the last radar images to an ensemble of the next ones."""
