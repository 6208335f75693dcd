"""A service in uvicorn that knows its clients by their SPIFFE ids, and takes new certificates while it runs.

python spiffe_server.py CERTFILE KEYFILE PORT CAFILE RULE

Try it with an authority of your own:

handfast ca init
handfast ca issue spiffe://example.org/web
handfast ca issue spiffe://example.org/db
python spiffe_server.py example.org-db.pem example.org-db.key 8443 handfast-ca/root.pem spiffe://example.org/web
python spiffe_client.py 8443 handfast-ca/root.pem example.org-web.pem example.org-web.key spiffe://example.org/db
"""

import logging
import ssl
import sys

import uvicorn

from handfast import AllowSpiffe, ChainVerifier, Policy, Reloading, ServerConfig
from handfast.transport import ssl_module
from handfast.transport.asgi import TLSExtension


async def hello(scope, receive, send):
    if scope["type"] == "http":
        peer = scope["extensions"]["handfast"]["peer"]  # proved, and allowed by the rule
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"hello {peer.uris[0]}\n".encode()})


def main(certfile, keyfile, port, cafile, rule):
    def settings(files):
        return ServerConfig(
            identities=[files.identity(certfile, keyfile)],
            client_authentication="required",
            client_verifier=ChainVerifier(files.trust(cafile), Policy(allow=AllowSpiffe(rule))),
        )

    logging.basicConfig(level=logging.INFO)  # handfast.reload says what was read anew, handfast.ssl who was refused
    live = Reloading(settings)
    context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.handfast = ServerConfig(on_client_hello=lambda hello: live())
    with live.watch(1):
        app = TLSExtension(hello)
        uvicorn.run(app, host="127.0.0.1", port=int(port), ssl_context_factory=lambda *_: context, lifespan="off")


if __name__ == "__main__":
    main(*sys.argv[1:])
