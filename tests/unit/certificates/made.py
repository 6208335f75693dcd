"""What several of these tests make."""

from __future__ import annotations

from handfast.testing import Authority


def root_with_full_serial() -> Authority:
    """A root whose serial number has all of its twenty bytes, so that others of that length can take their place."""
    while True:
        made = Authority.create()
        if made.certificate.serial_number.bit_length() > 152:
            return made
