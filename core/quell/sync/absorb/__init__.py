"""What an observation of one copy does to its incident: decided here, stored and sent elsewhere."""
