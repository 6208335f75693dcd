"""A server between the client's first message and its answer: which certificate, which context, which protocol."""

from __future__ import annotations

import weakref
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from handfast.config import ASK, ServerConfig
from handfast.errors import HandshakeRefused, MisuseError
from handfast.transport.ssl_module import derive, exceptions
from handfast.wire.codepoints import AlertDescription

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from handfast.transport.ssl_module.engine import Engine
    from handfast.wire.hello import ClientHello

_HANDSHAKE_FAILURE: Final = "handshake_failure"


class Review:
    """Called with a ClientHello; gives the configuration for this connection, None for the one there is."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = weakref.ref(engine)  # which holds the connection, and that this: no circle
        self._config = config

    def __call__(self, hello: ClientHello) -> Any:
        """See ServerConfig.on_client_hello."""
        engine, config = self._engine(), self._config
        assert engine is not None, "it is the one that shakes hands"
        engine.offered_suites = hello.cipher_suites
        context = engine.context
        callback = context.sni_callback
        if callback is not None:
            _ask(callback, engine, hello.server_name)
            if engine.context is not context:  # the callback has changed it
                config = derive.as_strict(engine.context._config(ServerConfig, engine.since), config)
        if config.on_client_hello is not None:  # of context.handfast: it has the last word
            if not callable(config.on_client_hello):
                raise MisuseError(problem=f"{ASK!r} needs an application that pulls events itself")
            answer = config.on_client_hello(hello)
            if isawaitable(answer):
                return self._awaited(answer, hello, config)
            if answer is not None:
                return _without_early_data(answer)
        return self._chosen(hello, config)

    async def _awaited(self, answer: Awaitable[ServerConfig | None], hello: ClientHello, config: ServerConfig) -> Any:
        found = await answer
        return self._chosen(hello, config) if found is None else _without_early_data(found)

    def _chosen(self, hello: ClientHello, config: ServerConfig) -> ServerConfig | None:
        offered = hello.application_layer_protocol_negotiation
        if config.protocols and offered and not set(offered) & set(config.protocols):
            config = derive.without_alpn(config)
        return None if config is self._config else config


def _without_early_data(config: Any) -> Any:
    if isinstance(config, ServerConfig):
        derive.refuse_early_data(config)
    return config


def _ask(callback: Any, engine: Engine, server_name: str | None) -> None:
    """The callback of set_servername_callback: it may change the context, or return the alert to refuse with."""
    try:
        name = None if server_name is None else server_name.encode("ascii").decode("idna")
        answer = callback(engine.owner, name, engine.context)
    except Exception as error:
        exceptions.report(error)
        raise HandshakeRefused(_HANDSHAKE_FAILURE, "the servername callback raised an exception") from error
    if answer is None:
        return
    try:
        alert = int(answer) if isinstance(answer, int) else _not_a_number(answer)
    except TypeError as error:
        exceptions.report(error)
        raise HandshakeRefused("internal_error", "the servername callback returned no number") from error
    try:
        refusal = HandshakeRefused(AlertDescription.name(alert).lower(), "the servername callback refused")
    except ValueError:
        refusal = HandshakeRefused(_HANDSHAKE_FAILURE, f"the servername callback refused with {alert}")
    raise refusal


def _not_a_number(answer: object) -> NoReturn:
    raise TypeError(f"servername callback must return None or an integer, not '{type(answer).__name__}'")
