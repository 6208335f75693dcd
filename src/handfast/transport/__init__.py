"""Thin drivers between connections and sockets. No protocol here."""
