# Short names for what CI does; each works without `just` too.

# list them
default:
    @just --list

# everything that is checked besides the tests
check:
    ./.ci/checks

# the tests, on two processes
test *arguments:
    .venv/bin/python -m pytest -q -n 2 {{arguments}}

# what CI runs, in a clean checkout of the last commit
ci:
    ./.ci/run

# write the generated pages of the reference
docs:
    .venv/bin/python docs/generate.py

# format and mend what can be mended
fix:
    .venv/bin/ruff check --fix .
    .venv/bin/ruff format .
