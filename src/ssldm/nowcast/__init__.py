"""From observations to a forecast: the trained model, tiling, the dataset. Nothing here trains."""
