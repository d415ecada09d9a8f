"""The life of a trading day: its states, where they are kept, and who may change them."""

from ssmd.day.ledger import Kept, Ledger
from ssmd.day.state import LEGAL, Change, Day, State

__all__ = ["LEGAL", "Change", "Day", "Kept", "Ledger", "State"]
