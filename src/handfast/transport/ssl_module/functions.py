"""The functions of ``ssl`` that make contexts and connections."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import warnings
from typing import Any, Final

from handfast.transport.ssl_module.context import SSLContext
from handfast.transport.ssl_module.sockets import SSLSocket

_TIMEOUT: Final[Any] = getattr(socket, "_GLOBAL_DEFAULT_TIMEOUT")  # noqa: B009 - what socket's own functions default to


def create_default_context(
    purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, *, cafile: Any = None, capath: Any = None, cadata: Any = None
) -> SSLContext:
    """A context with safe settings: SERVER_AUTH for clients, which verify servers; CLIENT_AUTH for servers.

    ``cafile, capath, cadata``  the roots to trust, as load_verify_locations takes them; this machine's by default
    """
    _check_purpose(purpose)
    if purpose is ssl.Purpose.SERVER_AUTH:
        context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
    else:
        context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    _finish(context, purpose, cafile, capath, cadata)
    return context


def _create_unverified_context(  # noqa: PLR0913 - as ssl has it
    protocol: int | None = None,
    *,
    cert_reqs: int | None = ssl.CERT_NONE,
    check_hostname: bool = False,
    purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH,
    certfile: Any = None,
    keyfile: Any = None,
    cafile: Any = None,
    capath: Any = None,
    cadata: Any = None,
) -> SSLContext:
    """What modules of the standard library call where the program has given no context."""
    _check_purpose(purpose)
    if protocol is None:
        protocol = ssl.PROTOCOL_TLS_CLIENT if purpose is ssl.Purpose.SERVER_AUTH else ssl.PROTOCOL_TLS_SERVER
    context = SSLContext(protocol)
    context.check_hostname = check_hostname
    if cert_reqs is not None:
        context.verify_mode = cert_reqs  # type: ignore[assignment]
    if check_hostname:
        context.check_hostname = True
    _check_certificate(certfile, keyfile)
    if certfile:
        context.load_cert_chain(certfile, keyfile)
    _finish(context, purpose, cafile, capath, cadata)
    return context


def _check_purpose(purpose: object) -> None:
    if not isinstance(purpose, ssl._ASN1Object):
        raise TypeError(purpose)
    if purpose not in (ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH):
        raise ValueError(purpose)


def _check_certificate(certfile: object, keyfile: object) -> None:
    if keyfile and not certfile:
        raise ValueError("certfile must be specified")


def _finish(context: SSLContext, purpose: ssl.Purpose, cafile: Any, capath: Any, cadata: Any) -> None:
    """The roots, and the key log that the environment asks for."""
    if cafile or capath or cadata:
        context.load_verify_locations(cafile, capath, cadata)
    elif context.verify_mode != ssl.CERT_NONE:
        context.load_default_certs(purpose)
    keylog = os.environ.get("SSLKEYLOGFILE")
    if keylog and not sys.flags.ignore_environment:
        context.keylog_filename = keylog


def get_server_certificate(
    addr: tuple[str, int],
    ssl_version: int = ssl.PROTOCOL_TLS_CLIENT,
    ca_certs: str | None = None,
    timeout: float | None = _TIMEOUT,
) -> str:
    """The certificate of a server, as PEM; verified where ``ca_certs`` names a file of roots."""
    host, _ = addr
    context = _create_unverified_context(
        ssl_version, cert_reqs=ssl.CERT_NONE if ca_certs is None else ssl.CERT_REQUIRED, cafile=ca_certs
    )
    with (
        socket.create_connection(addr, timeout=timeout) as sock,
        context.wrap_socket(sock, server_hostname=host) as tls,
    ):
        der = tls.getpeercert(True)
    assert der is not None, "a server always has a certificate"
    return ssl.DER_cert_to_PEM_cert(der)


def wrap_socket(  # noqa: PLR0913, PLR0917 - as ssl has it
    sock: socket.socket,
    keyfile: Any = None,
    certfile: Any = None,
    server_side: bool = False,
    cert_reqs: int = ssl.CERT_NONE,
    ssl_version: int = ssl.PROTOCOL_TLS,
    ca_certs: Any = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    ciphers: str | None = None,
) -> SSLSocket:
    """Deprecated in ``ssl``, and gone from Python 3.12 on: make a context instead."""
    warnings.warn(
        "ssl.wrap_socket() is deprecated, use SSLContext.wrap_socket()", category=DeprecationWarning, stacklevel=2
    )
    if server_side and not certfile:
        raise ValueError("certfile must be specified for server-side operations")
    _check_certificate(certfile, keyfile)
    context = SSLContext(ssl_version)
    context.verify_mode = cert_reqs  # type: ignore[assignment]
    if ca_certs:
        context.load_verify_locations(ca_certs)
    if certfile:
        context.load_cert_chain(certfile, keyfile)
    if ciphers:
        context.set_ciphers(ciphers)
    return context.wrap_socket(  # type: ignore[return-value]
        sock,
        server_side=server_side,
        do_handshake_on_connect=do_handshake_on_connect,
        suppress_ragged_eofs=suppress_ragged_eofs,
    )
