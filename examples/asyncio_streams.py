"""asyncio's streams: one HTTPS request.

python asyncio_streams.py [HOST [PORT [CAFILE]]]
"""

import asyncio
import sys

from handfast.transport import ssl_module


async def main(host="www.python.org", port="443", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    print(writer.get_extra_info("ssl_object").version())
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    print((await reader.readline()).decode().strip())
    await reader.read()
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
