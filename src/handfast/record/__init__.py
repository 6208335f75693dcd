"""Records (RFC 9846 section 5): bytes to records, their protection, and handshake messages put together from them."""
