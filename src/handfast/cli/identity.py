"""`--cert FILE --key FILE`, for both commands."""

from __future__ import annotations

from pathlib import Path

from handfast.certificates.identity import Identity
from handfast.errors import ConfigurationError


def identity(cert: Path | None, key: Path | None) -> Identity | None:
    """The identity of the two options; None without them. The key may stand in the file of the chain.

    Raises ConfigurationError, naming the file and the cause.
    """
    if cert is None:
        if key is not None:
            raise ConfigurationError(setting="--key", problem="needs --cert: the chain that the key belongs to")
        return None
    return Identity.load(cert, key or cert)
