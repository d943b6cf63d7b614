"""The desk: the only place that writes to incidents, for sync and for actions alike."""
