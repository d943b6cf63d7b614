"""A tenant that answers like Microsoft's own: Graph, Defender, Entra, Sentinel and ingestion.

It stands alone and imports nothing of quell, so that it can be wrong only on its own account.
Start it with `quell_microsoft.simulator.server.start` in tests, or from the command line.
"""
