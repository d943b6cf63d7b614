"""Numbered migrations of the journal's schema: expand first, contract a release later."""
