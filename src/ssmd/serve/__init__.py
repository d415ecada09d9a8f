"""The HTTP role: the archive, and what is being archived, through one door."""
