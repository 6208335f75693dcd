"""uvicorn; a client may bring a certificate. It answers with the TLS extension of ASGI.

python uvicorn_server.py CERTFILE KEYFILE [PORT [CLIENT_CAFILE]]
"""

import ssl
import sys

import uvicorn
from asgi_app import app

from handfast.transport import ssl_module


def main(certfile, keyfile, port="8443", client_cafile=None):
    context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_cafile)
    context.load_cert_chain(certfile, keyfile)
    if client_cafile:
        context.verify_mode = ssl.CERT_OPTIONAL
    uvicorn.run(app, host="127.0.0.1", port=int(port), ssl_context_factory=lambda *_: context, lifespan="off")


if __name__ == "__main__":
    main(*sys.argv[1:])
