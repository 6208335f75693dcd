"""uvloop: the same streams as asyncio's, over another event loop.

python uvloop_streams.py [HOST [PORT [CAFILE]]]
"""

import asyncio
import sys

import uvloop

from handfast.transport import ssl_module


async def main(host="www.python.org", port="443", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    print(type(asyncio.get_running_loop()).__module__, writer.get_extra_info("ssl_object").version())
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    print((await reader.readline()).decode().strip())
    await reader.read()
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
