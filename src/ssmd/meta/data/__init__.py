"""``ssmd meta data``: what is archived, from the command line, without a server."""
