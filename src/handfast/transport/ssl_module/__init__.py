"""A drop-in for the standard library's ``ssl``: contexts that asyncio, urllib3, httpx, uvicorn and all the others take.

::

    from handfast.transport import ssl_module

    context = ssl_module.create_default_context()
    httpx.Client(verify=context)

or, for a whole program, ``from handfast.transport import ssl_module as ssl``: every name that ``ssl`` has is here too.
The classes of exceptions are those of ``ssl``, so that whoever catches one catches both; the errors of our connections
are subclasses of them, see :mod:`~handfast.transport.ssl_module.exceptions`.

docs/ssl-module.md is the table of everything that ``ssl`` has, and what becomes of it here.
"""

from __future__ import annotations

import ssl as _standard
from ssl import *  # noqa: F403 - that is what this module is for
from ssl import CertificateError as CertificateError
from typing import Any

from handfast.transport.ssl_module.context import SSLContext as SSLContext
from handfast.transport.ssl_module.facts import CHANNEL_BINDING_TYPES as CHANNEL_BINDING_TYPES
from handfast.transport.ssl_module.functions import _create_unverified_context as _create_unverified_context
from handfast.transport.ssl_module.functions import create_default_context as create_default_context
from handfast.transport.ssl_module.functions import get_server_certificate as get_server_certificate
from handfast.transport.ssl_module.functions import wrap_socket as wrap_socket
from handfast.transport.ssl_module.objects import SSLObject as SSLObject
from handfast.transport.ssl_module.sessions import SSLSession as SSLSession  # type: ignore[assignment]
from handfast.transport.ssl_module.sockets import SSLSocket as SSLSocket

_create_default_https_context = create_default_context
_create_stdlib_context = _create_unverified_context


def __getattr__(name: str) -> Any:
    """Whatever else ``ssl`` has: names that one version of Python has and another has not, and private ones."""
    return getattr(_standard, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_standard)})
