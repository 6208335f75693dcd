"""What a policy switches off in `cryptography`'s verifier, and what stands in its place.

Each switch (rules.py) is for one rule. The verifier's checks can be replaced extension by extension alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder

from handfast.certificates.parsed import parsed
from handfast.certificates.rules import Role, Rule, findings

if TYPE_CHECKING:
    from handfast.certificates.policy import Policy
    from handfast.certificates.store import TrustStore
    from handfast.certificates.usages import Purpose

# The extensions whose checks in the verifier a relaxed rule replaces. Everything else stays as the verifier has it: to
# start from `permit_all` would let authorities without keyCertSign pass.
_LEAF_EXTENSIONS: Final[dict[Rule, tuple[type[x509.ExtensionType], ...]]] = {
    Rule.CRITICAL_SUBJECT_ALTERNATIVE_NAME: (x509.SubjectAlternativeName,),
    Rule.UNCRITICAL_SUBJECT_ALTERNATIVE_NAME: (x509.SubjectAlternativeName,),
    Rule.CRITICAL_EXTENDED_KEY_USAGE: (x509.ExtendedKeyUsage,),
    Rule.CRITICAL_CERTIFICATE_POLICIES: (x509.CertificatePolicies,),
    Rule.MISSING_AUTHORITY_KEY_IDENTIFIER: (x509.AuthorityKeyIdentifier,),
    Rule.AUTHORITY_AS_LEAF: (x509.BasicConstraints, x509.KeyUsage),
}
_ISSUER_EXTENSIONS: Final[dict[Rule, tuple[type[x509.ExtensionType], ...]]] = {
    Rule.CRITICAL_EXTENDED_KEY_USAGE: (x509.ExtendedKeyUsage,),
    Rule.CRITICAL_CERTIFICATE_POLICIES: (x509.CertificatePolicies,),
    Rule.INCOMPLETE_AUTHORITY_KEY_IDENTIFIER: (x509.AuthorityKeyIdentifier,),
    Rule.MISSING_KEY_USAGE: (x509.KeyUsage,),
    Rule.UNCRITICAL_BASIC_CONSTRAINTS: (x509.BasicConstraints,),
}


def builder(trust: TrustStore, policy: Policy, purpose: Purpose, *, named: bool = True) -> PolicyBuilder:
    """What makes verifiers for these roots and this policy. ``named``: whether a server's name is compared."""
    relax = policy.relax
    made = PolicyBuilder().store(trust.verification_store).max_chain_depth(policy.depth)
    if purpose == "server" and named and not relax:
        return made
    return made.extension_policies(
        ee_policy=_relaxed(ExtensionPolicy.webpki_defaults_ee(), "leaf", purpose, relax, named=named),
        ca_policy=_relaxed(ExtensionPolicy.webpki_defaults_ca(), "root", purpose, relax, named=named),
    )


def _relaxed(
    policy: ExtensionPolicy, role: Role, purpose: Purpose, relax: frozenset[Rule], *, named: bool
) -> ExtensionPolicy:
    """The verifier's policy with our own check in place of its check of the extensions that are concerned.

    An override switches off all that the verifier checks of an extension, so our check is the whole of ours for such a
    certificate: only what the relaxed rules say is let pass. Authorities are looked at as roots are here, since nobody
    says which of them is one; what the others have to keep besides, handfast.certificates.checks holds.
    """

    def hold(_: verification.Policy, certificate: x509.Certificate, __: x509.ExtensionType | None) -> None:
        found = findings(parsed(certificate.public_bytes(Encoding.DER)), role, purpose)
        if found.usage is not None or any(breach.rule not in relax for breach in found.breaches):
            raise ValueError  # nobody reads it: handfast.certificates.checks explains

    table = _LEAF_EXTENSIONS if role == "leaf" else _ISSUER_EXTENSIONS
    replaced = dict.fromkeys(kind for rule in relax for kind in table.get(rule, ()))
    if role == "leaf" and (purpose == "client" or not named):
        replaced[x509.SubjectAlternativeName] = None  # which the verifier wants of clients too
    if purpose == "server" and not named:
        replaced[x509.ExtendedKeyUsage] = None  # the verifier for clients would look for the wrong one
    for extension in replaced:
        # The verifier insists on an authority's basicConstraints, and a server's names are needed in any case.
        needed = (extension is x509.SubjectAlternativeName and purpose == "server" and named) or (
            role == "root" and extension is x509.BasicConstraints
        )
        override = policy.require_present if needed else policy.may_be_present
        policy = override(extension, Criticality.AGNOSTIC, hold)
    return policy
