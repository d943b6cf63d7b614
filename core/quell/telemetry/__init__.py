"""What those who run quell can see of it: metrics for Prometheus, and traces for OpenTelemetry.

Numbers come from the meters and from the journal, traces from the journal alone. Neither holds
anything that an incident says: ids, names from settings, states, counts and times.
"""
