"""What the simulated tenant answers: one module per API surface, on top of the state."""
