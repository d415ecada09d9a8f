"""The exchanges as the security master sees them. A new one is a file here and a line below."""

from ssmd.exchanges.kalshi_master import KALSHI
from ssmd.exchanges.kraken_futures_master import KRAKEN_FUTURES
from ssmd.exchanges.kraken_master import KRAKEN
from ssmd.exchanges.master import Master
from ssmd.exchanges.polymarket_master import POLYMARKET

MASTERS: dict[str, Master] = {
    "kalshi": KALSHI,
    "polymarket": POLYMARKET,
    "kraken": KRAKEN,
    "kraken_futures": KRAKEN_FUTURES,
}
