"""``ssmd meta secmaster``: instruments from listings and messages, and what was known of them."""
