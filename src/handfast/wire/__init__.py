"""Bytes to values and back: the structures of the RFC. Knows no state and no cryptography."""
