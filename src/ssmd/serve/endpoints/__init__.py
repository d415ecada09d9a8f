"""One file per noun, each with a list ``routes``."""
