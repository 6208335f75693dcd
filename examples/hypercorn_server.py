"""hypercorn, with HTTP/2; a client may bring a certificate. It answers with the TLS extension of ASGI.

python hypercorn_server.py CERTFILE KEYFILE [PORT [CLIENT_CAFILE]]
"""

import asyncio
import ssl
import sys

from asgi_app import app
from hypercorn.asyncio import serve
from hypercorn.config import Config

from handfast.transport import ssl_module


class Handfast(Config):
    def create_ssl_context(self):
        context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca_certs)
        context.load_cert_chain(self.certfile, self.keyfile)
        context.set_alpn_protocols(self.alpn_protocols)
        if self.ca_certs:
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


def main(certfile, keyfile, port="8443", client_cafile=None):
    config = Handfast()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile, config.ca_certs = certfile, keyfile, client_cafile
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main(*sys.argv[1:])
