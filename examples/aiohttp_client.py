"""aiohttp, as a client.

python aiohttp_client.py [URL [CAFILE]]
"""

import asyncio
import sys

import aiohttp

from handfast.transport import ssl_module


async def main(url="https://www.python.org/", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(url) as answer,
    ):
        print(answer.status, len(await answer.read()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
