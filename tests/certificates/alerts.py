"""Which alert each Reason of a certificate has."""

# The alerts of RFC 9846 section 6.2, written down a second time.
ALERTS = {
    "certificate_expired": 45,
    "certificate_not_yet_valid": 42,
    "certificate_name_mismatch": 42,
    "certificate_without_names": 42,
    "certificate_wrong_usage": 43,
    "not_a_ca": 42,
    "self_signed_certificate": 48,
    "unknown_issuer": 48,
    "missing_intermediate": 48,
    "bad_certificate_signature": 42,
    "weak_key": 42,
    "weak_exponent": 42,
    "roca_key": 42,
    "debian_key": 42,
    "leaked_key": 42,
    "weak_signature": 42,
    "unsupported_public_key": 43,
    "certificate_rule_broken": 42,
    "certificate_unreadable": 42,
    "too_many_comparisons": 42,
    "peer_not_allowed": 49,
    "certificate_refused": 46,
}
