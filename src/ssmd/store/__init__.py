"""Where bytes rest: segments and manifests."""
