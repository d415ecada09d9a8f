"""The simulated exchange: each venue's protocol over real sockets, markets with known truth."""
