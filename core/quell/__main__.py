"""Lets `python -m quell` do what `quell` does."""

from quell.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
