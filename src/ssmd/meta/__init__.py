"""``ssmd meta``: configuration in Git, keys, instruments and trading days."""
