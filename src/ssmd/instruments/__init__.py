"""The security master: records of instruments, every change of which is a message."""
