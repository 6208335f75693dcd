"""handfast beside its peers, both sides of each connection in memory: ``python -m bench [--quick] [--json FILE]``."""
