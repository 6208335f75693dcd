"""Trust decisions. No sockets: what would have to be fetched is asked for."""
