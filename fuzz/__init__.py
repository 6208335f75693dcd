"""Fuzzing: what a stranger may send ends in a result or in a TLSError. README.md says how to run it."""
