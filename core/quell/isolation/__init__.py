"""Actions in child processes: with limits, without secrets, and with an end at their deadline.

This fences the worker from a plugin's faults. It is no wall against a hostile plugin: a child
process runs as the same user on the same host. Nothing is loaded here: a stem process begins
with an import of this package, and is to be ready soon.
"""
