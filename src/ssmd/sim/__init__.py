"""Simulated exchanges: each venue's protocol over real sockets, with a ledger of what was sent."""
