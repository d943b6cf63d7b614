"""Values and rules of quell: no clock, no input or output, no vendor."""
