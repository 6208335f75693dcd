"""How a configuration answers the questions of a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from handfast.config import ASK, ClientConfig, ServerConfig
from handfast.handshake.flow import (
    AdmitEarlyData,
    CheckPeer,
    ChooseClientIdentity,
    ChooseIdentity,
    FindPsk,
    LoadSession,
    LoadState,
    OpenTicket,
    Question,
    ReviewClientHello,
    SealTicket,
    Sign,
    StoreState,
    VerifyPeer,
)


def ask(config: ClientConfig | ServerConfig, question: Question) -> Any:
    """The answer, an awaitable of it, or ASK where the application wants to be asked itself.

    Raises whatever the callback raises.
    """
    return _ANSWERS[type(question)](config, question)


def _call(callback: Callable[[Any], Any] | object, subject: object) -> Any:
    return callback(subject) if callable(callback) else ASK


def _verify(config: Any, question: VerifyPeer) -> Any:
    if isinstance(config, ClientConfig):
        verifier: Any = config.server_verifier
        return ASK if verifier is ASK else verifier.verify_server(question.chain, question.server_name, question.now)
    verifier = config.verifier_of_clients
    return ASK if verifier is ASK else verifier.verify_client(question.chain, question.now)


def _find_psk(config: Any, question: FindPsk) -> Any:
    keys = config.psks
    return keys(question.identity) if callable(keys) else keys.get(question.identity)


# Each question is one that a script asks of its own side only, but for the first three.
_ANSWERS: Final[Mapping[type[Question], Callable[[Any, Any], Any]]] = {
    Sign: lambda config, question: question.identity.signer.sign(question.scheme, question.content),
    VerifyPeer: _verify,
    CheckPeer: lambda config, question: _call(config.check_peer, question.peer),
    # a client
    LoadSession: lambda config, question: config.sessions.take(question.server_name),
    ChooseClientIdentity: lambda config, question: _call(config.choose_identity, question.request),
    # a server
    ReviewClientHello: lambda config, question: _call(config.on_client_hello, question.client_hello),
    ChooseIdentity: lambda config, question: _call(config.choose_identity, question.client_hello),
    FindPsk: _find_psk,
    AdmitEarlyData: lambda config, question: config.early_data.admit(question.binder, question.seconds),
    OpenTicket: lambda config, question: config.tickets.open(question.ticket),
    SealTicket: lambda config, question: config.tickets.seal(question.state, question.seconds),
    LoadState: lambda config, question: config.session_cache.load(question.session_id),
    StoreState: lambda config, question: config.session_cache.store(
        question.session_id, question.state, question.seconds
    ),
}
