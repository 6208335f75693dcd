"""Profiles: what is offered by default, and why the rest is not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from handfast import ConfigurationError, reasons
from handfast.config import ClientConfig, ServerConfig
from handfast.crypto.groups import CLASSICAL_HALF, GROUPS
from handfast.crypto.signatures import SCHEMES, SCHEMES_12
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.profiles import INTERMEDIATE, MODERN, PROFILES, VERSIONS, Profile, version_of, why_not
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from tests.handshake.parties import client_config, fails, identity, server_config

BOTH, NEW, OLD = (0x0304, 0x0303), (0x0304,), (0x0303,)
CONFIGS: tuple[Any, ...] = (client_config, server_config)


# --- the profiles


def test_these_are_the_profiles_and_intermediate_is_the_default() -> None:
    assert PROFILES == {"modern": MODERN, "intermediate": INTERMEDIATE}
    assert VERSIONS == BOTH
    for config in (client_config(), server_config()):
        assert config.versions == BOTH
        assert config.profile == "intermediate"


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_a_profile_is_known_through_and_through(profile: Profile) -> None:
    assert set(profile.cipher_suites) <= {*SUITES, *SUITES_12}
    assert set(profile.groups) <= set(GROUPS)
    assert set(profile.signature_schemes) <= {*SCHEMES, *SCHEMES_12}
    for values in (profile.versions, profile.cipher_suites, profile.groups, profile.signature_schemes):
        assert len(values) == len(set(values))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_a_profile_has_nothing_that_is_not_recommended(profile: Profile) -> None:
    """RFC 9325 section 4.2: forward secrecy and AEADs; IANA's registry does not recommend CCM_8."""
    for suite in profile.cipher_suites:
        name = CipherSuite.name(suite)
        assert why_not(name) == ""
        assert "CCM" not in name
    for scheme in profile.signature_schemes:
        assert why_not(SignatureScheme.name(scheme)) == ""
    for group in profile.groups:
        assert why_not(NamedGroup.name(group)) == ""


def test_modern_has_nothing_of_tls_1_2() -> None:
    assert MODERN.versions == NEW
    assert not set(MODERN.cipher_suites) & set(SUITES_12)
    assert not set(MODERN.signature_schemes) - set(SCHEMES)
    for make in CONFIGS:
        config = make(profile="modern")
        assert (config.versions, config.suite_12_ids, config.scheme_12_ids) == (NEW, (), ())
        assert config.suite_ids == MODERN.cipher_suites


@pytest.mark.parametrize("make", CONFIGS)
def test_a_profile_may_be_a_value(make: Any) -> None:
    assert make(profile=MODERN).versions == NEW
    own = Profile(
        "own", OLD, (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,), (NamedGroup.SECP256R1,), (0x0403,)
    )
    config = make(profile=own)
    assert (config.versions, config.suite_ids, config.suite_12_ids) == (OLD, (), own.cipher_suites)
    assert (config.group_ids, config.group_12_ids) == (own.groups, own.groups)
    assert config.scheme_12_ids == (SignatureScheme.ECDSA_SECP256R1_SHA256,)


def test_a_profile_is_a_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODERN.versions = OLD  # type: ignore[misc]


@pytest.mark.parametrize(
    ("profile", "problem"), [("legacy", "legacy is not there yet"), ("Modern", "'Modern' is not known"), (None, "None")]
)
def test_a_profile_that_there_is_not(profile: Any, problem: str) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        client_config(profile=profile)
    assert caught.value.evidence["setting"] == "profile"
    assert problem in str(caught.value.evidence["problem"])
    assert caught.value.evidence["known"] == ["modern", "intermediate"]


# --- versions


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1.2", 0x0303),
        ("1.3", 0x0304),
        ("TLSv1.2", 0x0303),
        ("tlsv1.3", 0x0304),
        ("TLS 1.2", 0x0303),
        ("TLS1.3", 0x0304),
        ("1.1", None),
        ("TLSv1.0", None),
        ("1.4", None),
        ("SSLv3", None),
        ("", None),
        ("13", None),
        ("DTLS 1.2", None),
    ],
)
def test_how_versions_may_be_called(name: str, version: int | None) -> None:
    assert version_of(name) == version


@pytest.mark.parametrize("make", CONFIGS)
@pytest.mark.parametrize(
    ("settings", "versions"),
    [
        ({}, BOTH),
        ({"min_version": "1.2"}, BOTH),
        ({"max_version": "1.3"}, BOTH),
        ({"min_version": "1.2", "max_version": "1.3"}, BOTH),
        ({"min_version": "1.3"}, NEW),
        ({"max_version": "1.2"}, OLD),
        ({"min_version": "TLSv1.3", "max_version": "TLS 1.3"}, NEW),
        ({"profile": "modern", "min_version": "1.2"}, NEW),
        # A version that has nothing left is not offered.
        ({"cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, NEW),
        ({"cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]}, OLD),
        ({"groups": ["X25519MLKEM768"]}, NEW),
        ({"groups": ["X25519MLKEM768", "x25519"]}, BOTH),
        ({"signature_schemes": ["mldsa65"]}, NEW),
        ({"signature_schemes": ["rsa_pkcs1_sha256"]}, OLD),
        ({"signature_schemes": ["ed25519"]}, BOTH),
    ],
)
def test_the_versions_that_are_spoken(make: Any, settings: dict[str, Any], versions: tuple[int, ...]) -> None:
    config = make(**settings)
    assert config.versions == versions
    assert bool(config.suite_ids) is (0x0304 in versions)
    assert bool(config.suite_12_ids) is (0x0303 in versions)
    assert bool(config.scheme_12_ids) is (0x0303 in versions)
    assert not set(config.group_12_ids) & set(CLASSICAL_HALF)
    if versions == OLD:
        assert config.group_ids == config.group_12_ids


@pytest.mark.parametrize("make", CONFIGS)
@pytest.mark.parametrize(
    "settings",
    [
        {"min_version": "1.3", "max_version": "1.2"},
        {"profile": "modern", "max_version": "1.2"},
        {"max_version": "1.2", "cipher_suites": ["TLS_AES_128_GCM_SHA256"]},
        {"min_version": "1.3", "cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]},
        {"max_version": "1.2", "groups": ["X25519MLKEM768"]},
        {"max_version": "1.2", "signature_schemes": ["mldsa65"]},
        {"min_version": "1.3", "signature_schemes": ["rsa_pkcs1_sha256"]},
        {"profile": "modern", "signature_schemes": ["rsa_pkcs1_sha256"]},
        {"cipher_suites": ["TLS_AES_128_GCM_SHA256"], "signature_schemes": ["rsa_pkcs1_sha256"]},
    ],
)
def test_one_version_has_to_be_left(make: Any, settings: dict[str, Any]) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        make(**settings)
    assert caught.value.evidence["problem"] == "no version of TLS is left"
    assert caught.value.evidence["profile"] == settings.get("profile", "intermediate")
    assert [sentence[:8] for sentence in caught.value.evidence["why"]] == ["TLSv1.3:", "TLSv1.2:"]


def test_the_error_says_what_each_version_lacks() -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        ClientConfig(max_version="1.2", cipher_suites=["TLS_AES_128_GCM_SHA256"], groups=["X25519MLKEM768"])
    assert caught.value.evidence["why"] == [
        "TLSv1.3: it is not within min_version and max_version",
        "TLSv1.2: cipher_suites has nothing for it, groups has nothing for it",
    ]
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        ClientConfig(profile="modern", max_version="1.2")
    assert "TLSv1.2: the profile does not have it" in caught.value.evidence["why"]


@pytest.mark.parametrize("setting", ["min_version", "max_version"])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("TLSv1.0", "'TLSv1.0' cannot be used: TLS 1.0 and 1.1 are broken (RFC 8996)"),
        ("TLSv1.1", "TLS 1.0 and 1.1 are broken"),
        ("1.1", "'1.1' cannot be used: TLS 1.0 and 1.1 are broken (RFC 8996)"),
        ("SSLv3", "'SSLv3' cannot be used: SSL is broken (RFC 7568)"),
        ("1.4", "'1.4' cannot be used: there is no such version"),
        ("", "there is no such version"),
    ],
)
def test_a_version_that_cannot_be_chosen(setting: str, name: str, problem: str) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        client_config(**{setting: name})
    assert caught.value.evidence["setting"] == setting
    assert problem in str(caught.value.evidence["problem"])
    assert caught.value.evidence["known"] == ["1.2", "1.3"]


@pytest.mark.parametrize("value", [0x0303, b"1.2"], ids=["number", "bytes"])
def test_a_version_is_called_by_its_name(value: Any) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        client_config(min_version=value)


def test_a_client_of_tls_1_2_alone_sends_no_shares() -> None:
    config = client_config(max_version="1.2")
    assert config.share_ids == ()
    assert client_config(max_version="1.2", key_shares=["x25519"]).share_ids == ()


def test_suites_of_both_versions_stand_in_one_list() -> None:
    suites = ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384", 0xC02B, "TLS_AES_128_CCM_SHA256"]
    config = client_config(cipher_suites=suites)
    assert config.suite_ids == (0x1302, 0x1304)
    assert config.suite_12_ids == (0xCCA8, 0xC02B)


# --- why something cannot be chosen


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("TLS_RSA_WITH_RC4_128_MD5", "RC4 is broken (RFC 7465)"),
        ("TLS_RSA_WITH_NULL_SHA256", "it does not encrypt"),
        ("TLS_RSA_EXPORT_WITH_DES40_CBC_SHA", "it was made to be broken"),
        ("TLS_ECDH_anon_WITH_AES_128_CBC_SHA", "nobody proves who they are"),
        ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", "its blocks are too small (Sweet32)"),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "ROBOT"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA", "ROBOT"),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "Lucky 13"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "Lucky 13"),
        ("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "Logjam"),
        ("ffdhe3072", "finite-field Diffie-Hellman is slow; elliptic curves replace it"),
        ("rsa_pkcs1_sha1", "SHA-1 is broken"),
        ("ecdsa_sha1", "SHA-1 is broken"),
        ("rsa_pkcs1_md5", "MD5 is broken"),
        ("SSLv2", "SSL is broken"),
        ("TLSv1.1", "RFC 8996"),
    ],
)
def test_why_something_cannot_be_chosen(name: str, why: str) -> None:
    assert why in why_not(name)
    assert why_not(name.lower()) == why_not(name.upper()) == why_not(name)


def test_nothing_is_said_of_what_can_be_chosen() -> None:
    known = (
        *(CipherSuite.name(suite) for suite in (*SUITES, *SUITES_12)),
        *(NamedGroup.name(group) for group in GROUPS),
        *(SignatureScheme.name(scheme) for scheme in (*SCHEMES, *SCHEMES_12)),
        *(ProtocolVersion.name(version) for version in VERSIONS),
    )
    for name in known:
        assert why_not(name) == "", name
    assert why_not("something else") == ""


def test_every_suite_that_is_named_and_refused_says_why() -> None:
    """Whoever asks for an old suite by its name learns more than that it is not known."""
    signals = {CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV, CipherSuite.TLS_FALLBACK_SCSV}
    old = set(CipherSuite.names()) - {*SUITES, *SUITES_12} - signals
    assert len(old) > 15
    for suite in old:
        assert why_not(CipherSuite.name(suite)), CipherSuite.name(suite)
        for value in (suite, CipherSuite.name(suite)):
            with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
                client_config(cipher_suites=[value])
            assert why_not(CipherSuite.name(suite)) in str(caught.value.evidence["problem"])


@pytest.mark.parametrize(
    "name", ["TLS_RSA_WITH_RC4_128_MD5", "TLS_RSA_WITH_NULL_SHA256", "TLS_RSA_WITH_3DES_EDE_CBC_SHA"]
)
def test_what_has_no_code_point_here_says_why_too(name: str) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        ServerConfig(identities=[identity()], cipher_suites=[name])
    assert why_not(name) in str(caught.value.evidence["problem"])
    assert caught.value.evidence["known"] == [CipherSuite.name(suite) for suite in (*SUITES, *SUITES_12)]


def test_a_setting_that_changes_one_list_leaves_the_others() -> None:
    config = ClientConfig(groups=["secp384r1"], trust=client_config().trust)
    assert config.group_ids == config.group_12_ids == (NamedGroup.SECP384R1,)
    assert (*config.suite_ids, *config.suite_12_ids) == INTERMEDIATE.cipher_suites
