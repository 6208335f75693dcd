"""httpx on asyncio: three requests at once, over one connection of HTTP/2 where the server has it.

python httpx_async.py [URL [CAFILE]]
"""

import asyncio
import sys

import httpx

from handfast.transport import ssl_module


async def main(url="https://www.python.org/", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    async with httpx.AsyncClient(verify=context, http2=True) as client:
        for answer in await asyncio.gather(*(client.get(url) for _ in range(3))):
            print(answer.http_version, answer.status_code, len(answer.content))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
