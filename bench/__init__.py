"""Measurements of quell: figures that are printed with their settings, and never asserted by tests."""
