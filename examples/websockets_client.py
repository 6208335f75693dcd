"""websockets, as a client: say something, print what comes back.

python websockets_client.py URL [CAFILE]
"""

import asyncio
import sys

from websockets.asyncio.client import connect

from handfast.transport import ssl_module


async def main(url, cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    async with connect(url, ssl=context) as socket:
        await socket.send("hello")
        print(await socket.recv())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
