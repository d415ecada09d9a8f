"""The connector role: WebSocket frames -> messages on the bus."""
