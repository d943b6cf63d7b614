"""What the simulated tenant consists of: one module per noun, no HTTP."""
