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

# random sequences of edits, faults and crashes: --seconds N, --edits N, --seed S, --over https
soak *arguments:
    .venv/bin/python -m tests.soak {{arguments}}

# trouble for a real fleet, its effects counted: --runs N, --kills K, --seed S, --only SCENARIO
chaos *arguments:
    .venv/bin/python -m tests.chaos {{arguments}}

# which wrong changes of sync's pure rules the tests notice, and which they do not
mutate *modules:
    .venv/bin/python -m tests.mutation {{modules}}

# write the generated pages of the reference
docs:
    .venv/bin/python docs/generate.py

# format and mend what can be mended
fix:
    .venv/bin/ruff check --fix .
    .venv/bin/ruff format .
