"""Messages and records over receive time: from the archive and on into what is on the bus."""
