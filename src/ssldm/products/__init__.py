"""What is read from an ensemble: probabilities, amounts, times, places."""
