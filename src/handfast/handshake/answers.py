"""How a configuration answers the questions of a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    if isinstance(question, Sign):
        return question.identity.signer.sign(question.scheme, question.content)
    if isinstance(question, CheckPeer):
        return _call(config.check_peer, question.peer)
    return _ask_client(config, question) if isinstance(config, ClientConfig) else _ask_server(config, question)


def _ask_client(config: ClientConfig, question: Question) -> Any:
    if isinstance(question, VerifyPeer):
        verifier: Any = config.server_verifier
        return ASK if verifier is ASK else verifier.verify_server(question.chain, question.server_name, question.now)
    if isinstance(question, LoadSession):
        store: Any = config.sessions
        return store.take(question.server_name)
    assert isinstance(question, ChooseClientIdentity)
    return _call(config.choose_identity, question.request)


def _ask_server(config: ServerConfig, question: Question) -> Any:
    if isinstance(question, VerifyPeer):
        verifier: Any = config.verifier_of_clients
        return ASK if verifier is ASK else verifier.verify_client(question.chain, question.now)
    if isinstance(question, ReviewClientHello):
        return _call(config.on_client_hello, question.client_hello)
    if isinstance(question, _ABOUT_SESSIONS):
        return _ask_about_sessions(config, question)
    assert isinstance(question, ChooseIdentity)
    return _call(config.choose_identity, question.client_hello)


_ABOUT_SESSIONS = (FindPsk, AdmitEarlyData, OpenTicket, SealTicket, LoadState, StoreState)


def _ask_about_sessions(config: ServerConfig, question: Question) -> Any:
    if isinstance(question, FindPsk):
        keys: Any = config.psks
        return keys(question.identity) if callable(keys) else keys.get(question.identity)
    if isinstance(question, AdmitEarlyData):
        guard: Any = config.early_data
        return guard.admit(question.binder, question.seconds)
    cache: Any = config.session_cache
    if isinstance(question, LoadState):
        return cache.load(question.session_id)
    if isinstance(question, StoreState):
        return cache.store(question.session_id, question.state, question.seconds)
    tickets: Any = config.tickets
    if isinstance(question, OpenTicket):
        return tickets.open(question.ticket)
    assert isinstance(question, SealTicket)
    return tickets.seal(question.state, question.seconds)


def _call(callback: Callable[[Any], Any] | object, subject: object) -> Any:
    return callback(subject) if callable(callback) else ASK
