"""What the networks are made into: scaling, coding, and what is expected of the rain to come."""
