"""What fuzzing has found: each input with what it did wrong once. None may come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fuzz import steps
from fuzz.credentials import leaf
from fuzz.steps import Step
from fuzz.targets import TARGETS, containers, small_texts, stored
from fuzz.targets.records import RAW
from handfast import limits
from handfast.errors import BadRecord
from handfast.record.layer import RecordLayer

# A certificate whose subject has an organizationName that is a BIT STRING. `cryptography` raises TypeError for such a
# name, where it raises ValueError for all other ways in which a name can be wrong.
NAME_WITH_BIT_STRING = """
    308201e030820186a003020102020f225a9ef88711d68c40f0df2481332a300a06082a8648ce3d040302302a31193017060355040a0c1068
    616e64666173742074657374696e67310d300b06035504030c04726f6f74301e170d3330303130313030303030305a170d34303031303130
    30303030305a303431193017060355040a031068616e64666173742074657374696e673117301506035504030c0e7365727665722e657861
    6d706c65302a300506032b6570032100ca1a928cdda6a6f34d6b2964da601896c9a44d23791940439ee40e554c87110ba381b33081b0300c
    0603551d130101ff04023000300e0603551d0f0101ff040403020780301d0603551d250416301406082b0601050507030106082b06010505
    07030230310603551d11042a3028820e7365727665722e6578616d706c6582102a2e7365727665722e6578616d706c658704c0000201301d
    0603551d0e04160414743cf9ae68504fb3d3c0b2709a44a930e6b4d00c301f0603551d23041830168014adbddf222461199b6ea1495036d1
    fbc1f79648fc300a06082a8648ce3d0403020348003045022100e0a2022e8dc7891ecde6b8cf99b804e51343fc8c0e9ce26627c0d3250cd1
    76c102202460dca4e631a1f25359518738252c8cb1ee6252871a5d09734bcc70802f372a
"""
# The same as the one certificate of a chain: when the path is followed, and when the verifier is asked.
CHAIN_WITH_BIT_STRING = """
    000001e4308201e030820186a003020102020f225a9ef88711d68c40f0df2481332a300a06082a8648ce3d040302302a3119301706035504
    0a0c1068616e64666173742074657374696e67310d300b06035504030c04726f6f74301e170d3330303130313030303030305a170d343030
    3130313030303030305a303431193017060355040a031068616e64666173742074657374696e673117301506035504030c0e736572766572
    2e6578616d706c65302a300506032b6570032100ca1a928cdda6a6f34d6b2964da601896c9a44d23791940439ee40e554c87110ba381b330
    81b0300c0603551d130101ff04023000300e0603551d0f0101ff040403020780301d0603551d250416301406082b0601050507030106082b
    0601050507030230310603551d11042a3028820e7365727665722e6578616d706c6582102a2e7365727665722e6578616d706c658704c000
    0201301d0603551d0e04160414743cf9ae68504fb3d3c0b2709a44a930e6b4d00c301f0603551d23041830168014adbddf222461199b6ea1
    495036d1fbc1f79648fc300a06082a8648ce3d0403020348003045022100e0a2022e8dc7891ecde6b8cf99b804e51343fc8c0e9ce26627c0
    d3250cd176c102202460dca4e631a1f25359518738252c8cb1ee6252871a5d09734bcc70802f372a
"""
CHAIN_THAT_THE_VERIFIER_READS = """
    010001b5308201b13082015aa003020102020f660b1aa27555ccb930c9fdaa5985be300a06082a8648ce3d040302302a3119301706035504
    0a0c1068616e64666173742074657374696e67310d300b06035504030c04726f6f74301e170d3330303130313030303030305a170d343030
    3130313030303030305a302a31193017060355040a0c1068616e64666173742074657374696e67310d300b06035504030304726f6f743059
    301306072a8648ce3d020106082a8648ce3d0301070342000499913c7bf0510ac9353c592b879a3e5e3e998b58943bbafe29c069a3b66cda
    b695703f70e4bac61e4dbbce44d26abe1959c09a4a10ecf87958819d60d475ca8aa3633061300f0603551d130101ff040530030101ff300e
    0603551d0f0101ff040403020106301d0603551d0e04160414adbddf222461199b6ea1495036d1fbc1f79648fc301f0603551d2304183016
    8014adbddf222461199b6ea1495036d1fbc1f79648fc300706052a3d0403020348003045022100f4f6e96c7b1d61f86172a0770633e598fa
    7886e7e94579a254ec47042f2976a702203d95aef54e9de583a8eb05424080b380b793ee617c78bb0a4befb186eee2ba45
"""

# A certificate whose signature is of id-RSASSA-PSS without parameters, which `cryptography` reads late: it raises ValueError
# where one asks for the hash, not where it parses.
PSS_WITHOUT_PARAMETERS = """
    308201e230820187a003020102020f225a9ef88711d68c40f0df2481332a300b06092a864886f70d01010a302a31193017060355040a0c10
    68616e64666173742074657374696e67310d300b06035504030c04726f6f74301e170d3330303130313030303030305a170d343030313031
    3030303030305a303431193017060355040a0c1068616e64666173742074657374696e673117301506035504030c0e7365727665722e6578
    616d706c65302a300506032b6570032100ca1a928cdda6a6f34d6b2964da601896c9a44d23791940439ee40e554c87110ba381b33081b030
    0c0603551d130101ff04023000300e0603551d0f0101ff040403020780301d0603551d250416301406082b0601050507030106082b060105
    0507030230310603551d11042a3028820e7365727665722e6578616d706c6582102a2e7365727665722e6578616d706c658704c000020130
    1d0603551d0e04160414743cf9ae68504fb3d3c0b2709a44a930e6b4d00c301f0603551d23041830168014adbddf222461199b6ea1495036
    d1fbc1f79648fc300b06092a864886f70d01010a0348003045022100e0a2022e8dc7891ecde6b8cf99b804e51343fc8c0e9ce26627c0d325
    0cd176c102202460dca4e631a1f25359518738252c8cb1ee6252871a5d09734bcc70802f372a
"""
CHAIN_WITH_PSS_WITHOUT_PARAMETERS = """
    000001e6308201e230820187a003020102020f225a9ef88711d68c40f0df2481332a300b06092a864886f70d01010a302a31193017060355
    040a0c1068616e64666173742074657374696e67310d300b06035504030c04726f6f74301e170d3330303130313030303030305a170d3430
    303130313030303030305a303431193017060355040a0c1068616e64666173742074657374696e673117301506035504030c0e7365727665
    722e6578616d706c65302a300506032b6570032100ca1a928cdda6a6f34d6b2964da601896c9a44d23791940439ee40e554c87110ba381b3
    3081b0300c0603551d130101ff04023000300e0603551d0f0101ff040403020780301d0603551d250416301406082b060105050703010608
    2b0601050507030230310603551d11042a3028820e7365727665722e6578616d706c6582102a2e7365727665722e6578616d706c658704c0
    000201301d0603551d0e04160414743cf9ae68504fb3d3c0b2709a44a930e6b4d00c301f0603551d23041830168014adbddf222461199b6e
    a1495036d1fbc1f79648fc300b06092a864886f70d01010a0348003045022100e0a2022e8dc7891ecde6b8cf99b804e51343fc8c0e9ce266
    27c0d3250cd176c102202460dca4e631a1f25359518738252c8cb1ee6252871a5d09734bcc70802f372a
"""

# A request for a certificate with a TLS feature that `cryptography` has no name for: a KeyError.
REQUEST_WITH_A_FEATURE = """
    070001303082012c3081f6020100303431193017060355040a0c1068616e64666173742074657374696e673117301506035504030c0e73657276
    65722e6578616d706c653059301306072a8648ce3d020106082a8648ce3d0301070342000498d0ee928c432b2686efee87a2a7dc730e905cde70
    e98f5836b6669e7e17fb48b4a4dd60b93f1b62845a7d102160c161633d0a7911802d762c0b2903772269b6a060305e06092a864886f70d01090e
    3151304f301206082b060105050701180406300402020505300c0603551d13040530030101ff301e0603551d110101ff041430128200820e7365
    727665722e6578616d706c65300b0603551d0f040403020308300a06082a8648ce3d040302032500302202206e63befd1a1feaf5dc476133cb37
    aed4561de0f17a774800a7d4d8d09d835ed5
"""

FINDINGS = {
    "certificate_facts-name-with-bit-string": NAME_WITH_BIT_STRING,
    "chain-name-with-bit-string": CHAIN_WITH_BIT_STRING,
    "chain-name-with-bit-string-in-verifier": CHAIN_THAT_THE_VERIFIER_READS,
    "certificate_facts-pss-without-parameters": PSS_WITHOUT_PARAMETERS,
    "chain-pss-without-parameters": CHAIN_WITH_PSS_WITHOUT_PARAMETERS,
    "small_texts-request-with-a-feature": REQUEST_WITH_A_FEATURE,
}


# A server that skips early data has no keys yet, but took records of the length that only encrypted ones may have.
def test_a_plaintext_record_that_is_too_long_after_early_data() -> None:
    record = b"\x16\x03\x03\x41\x00" + bytes(0x4100)
    TARGETS["records"].run(steps.encode(8 | 4, [Step(RAW, record)]))


# Early data in empty records cost nothing of what may be skipped, so there was no end to it.
def test_early_data_in_empty_records_comes_to_an_end() -> None:
    layer = RecordLayer()
    layer.skip_early_data()
    layer.feed(b"\x17\x03\x03\0\0" * limits.EARLY_DATA_SKIPPED)
    with pytest.raises(BadRecord):
        layer.read()


@pytest.mark.parametrize("finding", FINDINGS)
def test_finding(finding: str) -> None:
    TARGETS[finding.partition("-")[0]].run(bytes.fromhex(FINDINGS[finding]))


# What was kept, and made a connection fail: a client's file and a server's cache of its own may hand out what is damaged.
DAMAGED = {
    # A certificate of the path does not parse: the next ticket, whose life ends with it, ended the connection.
    "path": lambda kept: {"path": (kept.path[0][:-1],)},
    # A server of TLS 1.2 hands on when a session ends: so many seconds do not fit into a ticket (OverflowError).
    "expires": lambda kept: {"expires": 1 << 60},
    # A client's hello named a session by an ID that no hello can have, and that its server refused.
    "session-id": lambda kept: {"ticket": b"", "session_id": bytes(33)},
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("ticket", [b"good", b"1.2"])
def test_a_kept_session_that_is_damaged(name: str, ticket: bytes) -> None:
    kept = stored.kept_session(ticket)
    TARGETS["stored"].run(bytes((stored.STATE,)) + replace(kept, **DAMAGED[name](kept)).encode())


HOST = Step(small_texts.HOSTS, bytes((93, 184, 216, 34)))
MOVED = Step(small_texts.ANSWER, b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\n\r\n")
SMALL = {
    # A key of Ed25519 that is one byte short: an InternalError of `cryptography`.
    "short-key": (
        "containers",
        containers.IDENTITY_DER,
        [
            Step(0, leaf("a", "root")),
            Step(containers.KEY, bytes.fromhex("302d020100300506032b65700421041f") + bytes(31)),
        ],
    ),
    # A redirect to an address that is none: a ValueError of urljoin.
    "moved": ("small_texts", small_texts.FETCH, [Step(0, b"http://a/"), HOST, MOVED]),
    # The name of a list of keys: an escape sequence in whatever shows it, and a second line in what is written.
    "list": (
        "small_texts",
        small_texts.BADKEYS,
        [Step(0, b'{"blocklists": [{"id": 1, "name": "\\u001b[31m\\n2 leaked x"}]}')],
    ),
    # A number of such a list that is infinite: an OverflowError.
    "list-number": ("small_texts", small_texts.BADKEYS, [Step(0, b'{"blocklists": [{"id": 1e999, "name": "x"}]}')]),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_finding(name: str) -> None:
    target, settings, said = SMALL[name]
    TARGETS[target].run(steps.encode(settings, said))
