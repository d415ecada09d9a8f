"""When to try again."""

from ssmd.errors import ExchangeError, ExchangeRefused, KeyFault, SsmdError

REFUSED_RETRY_S = 60.0
"""A refusal may end (a key is allowed again, an address works again), but not soon."""


def delay_s(error: SsmdError, jitter_s: float) -> float:
    """Seconds until the next attempt: never less than the exchange asked for."""
    least = error.retry_after_s if isinstance(error, ExchangeError) else 0.0
    if isinstance(error, ExchangeRefused | KeyFault):
        least = max(least, REFUSED_RETRY_S)
    return least + jitter_s
