"""anyio: one HTTPS request, on asyncio or on trio.

python anyio_client.py [HOST [PORT [CAFILE [BACKEND]]]]
"""

import sys

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute

from handfast.transport import ssl_module


async def main(host="www.python.org", port="443", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    # HTTP says itself where an answer ends: so nobody waits for the other one's close_notify.
    way = anyio.connect_tcp(host, int(port), ssl_context=context, tls_hostname=host, tls_standard_compatible=False)
    async with await way as stream:
        print(stream.extra(TLSAttribute.tls_version))
        await stream.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        print((await BufferedByteReceiveStream(stream).receive_until(b"\r\n", 1024)).decode())


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:4], backend=sys.argv[4] if len(sys.argv) > 4 else "asyncio")
