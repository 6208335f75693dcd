"""Sessions: what a client and a server keep of a connection, so that the next one is quicker (RFC 9846 section 2.2)."""
