"""Reads the products: polls, sweeps, backfills, and fetches what their lists leave out."""
