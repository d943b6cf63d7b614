"""Starts the simulator from the command line."""

from __future__ import annotations

import argparse

from .server import SimulatorOptions, serve


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m quell_microsoft.simulator")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--ready-file", help="written as JSON once the server answers")
    parser.add_argument("--load", metavar="DIR", help="recorded Graph incidents and alerts")
    parser.add_argument("--story", action="store_true", help="start with some 30 incidents")
    parser.add_argument("--queued", action="store_true", help="hold the story's incidents back")
    parser.add_argument("--time-scale", type=float, default=1.0, help="tenant time per real time")
    parser.add_argument("--config", metavar="JSON", help="knobs, see docs/explanation/simulator.md")
    serve(SimulatorOptions.from_mapping(vars(parser.parse_args())))


if __name__ == "__main__":
    main()
