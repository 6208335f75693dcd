"""Private keys that are kept elsewhere: in a token (pkcs11.py), or behind anything that takes its time (threads.py).

::

    key = handfast.signers.Pkcs11Signer("pkcs11:token=web;object=server?module-path=/usr/lib/softhsm/libsofthsm2.so", pin=ask)
    identity = handfast.Identity.load("fullchain.pem", key)
"""

from __future__ import annotations

from handfast.signers.pkcs11 import Pkcs11Signer
from handfast.signers.threads import Threaded
from handfast.signers.uri import KeyUri

__all__ = ["KeyUri", "Pkcs11Signer", "Threaded"]
