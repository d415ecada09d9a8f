"""``ssmd up``: every role on one machine, supervised."""
