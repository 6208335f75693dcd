"""What goes wrong with a certificate authority of one's own."""

from __future__ import annotations

from handfast.reasons.table import reason

NOT_AN_AUTHORITY = reason(
    "not_an_authority",
    None,
    "",
    "There is no certificate authority in this folder.",
    "Name its folder (--dir), or make one (handfast ca init).",
)
AUTHORITY_EXISTS = reason(
    "authority_exists",
    None,
    "",
    "There is something in this folder already, and a new authority needs a folder of its own.",
    "Name another folder. What an authority has issued is lost with its folder.",
)
AUTHORITY_BUSY = reason(
    "authority_busy",
    None,
    "",
    "Another run is at work with this authority.",
    "Wait until it is done, and try again. A run that waits for a passphrase is not in the way.",
)
AUTHORITY_DAMAGED = reason(
    "authority_damaged",
    None,
    "",
    "A file of the authority is not as handfast writes it.",
    "Put the file back from a copy. Do not begin index.jsonl anew: what was issued and revoked stands in it.",
)
AUTHORITY_KEY_LOCKED = reason(
    "authority_key_locked",
    None,
    "RFC 5958 section 3",
    "The key of the authority is encrypted, and its passphrase is missing or wrong.",
    "Give a file that has it in its first line (--passphrase-file FILE).",
)
AUTHORITY_KEY_ELSEWHERE = reason(
    "authority_key_elsewhere",
    None,
    "",
    "This needs a key of the authority that is not in its folder.",
    "Name the file where the root's key is kept (--root-key FILE).",
)
AUTHORITY_ENDED = reason(
    "authority_ended",
    None,
    "RFC 5280 section 4.1.2.5",
    "The authority's own certificate is not valid now, so nothing that it issues would be.",
    "Check this machine's clock; if it is right, make a new intermediate of the same root (handfast ca init --dir NEW --from OLD).",
)
NAME_NOT_ISSUED = reason(
    "name_not_issued",
    None,
    "RFC 5280 section 4.2.1.6",
    "No certificate is issued for this name.",
)
REQUEST_REFUSED = reason(
    "request_refused",
    None,
    "RFC 2986 section 3",
    "The request for a certificate is refused.",
)
REQUEST_FOR_OTHER_NAMES = reason(
    "request_for_other_names",
    None,
    "RFC 5280 section 4.2.1.6",
    "The request asks for names that are neither named nor allowed.",
    "Name them after the file to certify them, allow their domain (--allow), or leave them out (--drop-others).",
)
NOT_ISSUED_HERE = reason(
    "not_issued_here",
    None,
    "RFC 5280 section 5",
    "This authority has issued no such certificate.",
    "See what it has issued (handfast ca list).",
)
FILE_THERE_ALREADY = reason(
    "file_there_already",
    None,
    "",
    "A file of this name is there already, and it may be somebody's only key.",
    "Choose another name (--name) or folder (--out), or replace it (--force).",
)
