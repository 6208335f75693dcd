"""aiohttp, as a server.

python aiohttp_server.py CERTFILE KEYFILE [PORT]
"""

import ssl
import sys

from aiohttp import web

from handfast.transport import ssl_module


async def hello(request):
    return web.json_response({"tls": request.transport.get_extra_info("ssl_object").version()})


def main(certfile, keyfile, port="8443"):
    context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    app = web.Application()
    app.router.add_get("/", hello)
    web.run_app(
        app, host="127.0.0.1", port=int(port), ssl_context=context, print=lambda *_: print("listening", flush=True)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
