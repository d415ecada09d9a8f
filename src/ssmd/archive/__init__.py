"""The archiver role: messages on the bus -> segments and manifests."""
