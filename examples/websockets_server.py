"""websockets, as a server that echoes.

python websockets_server.py CERTFILE KEYFILE [PORT]
"""

import asyncio
import ssl
import sys

from websockets.asyncio.server import serve

from handfast.transport import ssl_module


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def main(certfile, keyfile, port="8443"):
    context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    async with serve(echo, "127.0.0.1", int(port), ssl=context) as server:
        print("listening", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
