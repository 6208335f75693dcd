"""A server of TLS 1.3, after the ClientHello.

The handshake with a certificate, as in Figure 1 of RFC 9846 section 2; ``{}`` is encrypted with handshake keys, ``[]``
with application keys::

    Client                                               Server

    ClientHello              -------->
                                                    ServerHello
                                          {EncryptedExtensions}
                                                  {Certificate}
                                            {CertificateVerify}
                             <--------               {Finished}
    {Finished}               -------->
    [Application Data]       <------->       [Application Data]
"""

from __future__ import annotations

from handfast.certificates.identity import Identity
from handfast.config import ServerConfig
from handfast.crypto.schedule13 import EarlySecret
from handfast.handshake import authenticate, negotiate
from handfast.handshake.established import Established, Outcome
from handfast.handshake.flow import ChooseIdentity, Flow, Sign, expect
from handfast.handshake.link import Link
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
)


def server13(link: Link, config: ServerConfig, hello: ClientHello) -> Flow[Established]:
    """The server's side of Figure 1 in RFC 9846 section 2, from ServerHello to the client's Finished."""
    transcript = link.transcript

    # What we agree to (RFC 9846 section 4.2.1).
    chosen: Identity | None = yield ChooseIdentity(hello)
    terms = negotiate.terms(config, hello, chosen)
    group = terms.share.group

    # ServerHello: our key share; from here on everything is encrypted.
    public, shared_secret = link.key_exchange(config.entropy.encapsulate, group, terms.share.key_exchange)
    answer = ServerHello(
        random=config.entropy.random(32),
        legacy_session_id_echo=hello.legacy_session_id,
        cipher_suite=terms.suite.id,
        selected_version=ProtocolVersion.TLS_1_3,
        key_share=KeyShareEntry(group, public),
    )
    link.send(answer)
    transcript.use(terms.suite.hash)
    transcript.add(answer)
    if hello.legacy_session_id:
        link.send_change_cipher_spec()
    secret = EarlySecret(terms.suite).handshake_secret(shared_secret)
    until_hello = transcript.digest()
    client_handshake = secret.client_traffic(until_hello)
    server_handshake = secret.server_traffic(until_hello)
    link.log_secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET", hello.random, client_handshake.secret)
    link.log_secret("SERVER_HANDSHAKE_TRAFFIC_SECRET", hello.random, server_handshake.secret)
    link.layer.plaintext_alert_allowed = True
    link.install_keys(read=client_handshake, write=server_handshake)

    # EncryptedExtensions: the answers that are nobody else's business.
    extensions = EncryptedExtensions(application_layer_protocol_negotiation=terms.protocol)
    if hello.server_name is not None and terms.identity.fits(hello.server_name):
        extensions.server_name_acknowledged = True
    link.send(extensions)
    transcript.add(extensions)

    # Certificate and CertificateVerify: who we are, and that we hold the key of that certificate.
    certificate = Certificate([CertificateEntry(certificate) for certificate in terms.identity.chain])
    link.send(certificate)
    transcript.add(certificate)
    content = authenticate.server_signature_content(transcript.digest())
    signature: bytes = yield Sign(terms.identity, terms.scheme, content)
    proof = CertificateVerify(terms.scheme, signature)
    link.send(proof)
    transcript.add(proof)

    # Finished: our view of the handshake. What we send next has application keys; what we read does not yet.
    finished = Finished(server_handshake.verify_data(transcript.digest()))
    link.send(finished)
    transcript.add(finished)
    main = secret.main_secret()
    until_finished = transcript.digest()
    client_application = main.client_traffic(until_finished)
    server_application = main.server_traffic(until_finished)
    link.log_secret("CLIENT_TRAFFIC_SECRET_0", hello.random, client_application.secret)
    link.log_secret("SERVER_TRAFFIC_SECRET_0", hello.random, server_application.secret)
    link.install_keys(write=server_application)

    # The client's Finished: that it saw the same handshake.
    answered = yield from expect(Finished)
    verified = authenticate.check_finished(answered, client_handshake, until_finished)
    transcript.add(answered)
    link.install_keys(read=client_application)

    outcome = Outcome(terms.suite, group, terms.scheme, terms.protocol, hello.server_name, None, terms.identity)
    return Established(outcome, verified)
