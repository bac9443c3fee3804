"""From observations to a forecast: sampling, tiling, the dataset, weights folders. Nothing here trains."""
