"""The protocol: each role and version is one script that reads like the RFC's figure."""
