"""handfast: the TLS handshake, in Python, in full view."""
