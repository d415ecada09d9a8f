"""Clients of the exchanges, written from their public documentation alone: aiohttp and the standard
library, nothing of ssmd. Each verifies all that its exchange gives to verify."""
