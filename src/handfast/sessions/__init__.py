"""Tickets, sessions and anti-replay. Empty until resumption comes; its messages are read and ignored until then."""
