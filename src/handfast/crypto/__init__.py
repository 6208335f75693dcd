"""The primitives of `cryptography`, under the names of the RFC."""
