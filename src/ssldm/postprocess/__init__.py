"""What is done to members after sampling; knows no network."""
