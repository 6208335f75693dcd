"""asyncio's protocols: one HTTPS request.

python asyncio_protocol.py [HOST [PORT [CAFILE]]]
"""

import asyncio
import sys

from handfast.transport import ssl_module


class Request(asyncio.Protocol):
    def __init__(self, host):
        self.host = host
        self.answer = bytearray()
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        print(transport.get_extra_info("cipher"))
        transport.write(f"GET / HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode())

    def data_received(self, data):
        self.answer += data

    def connection_lost(self, error):
        if error is not None:
            self.over.set_exception(error)
        else:
            self.over.set_result(bytes(self.answer))


async def main(host="www.python.org", port="443", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    loop = asyncio.get_running_loop()
    _, request = await loop.create_connection(lambda: Request(host), host, int(port), ssl=context)
    print((await request.over).partition(b"\r\n")[0].decode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
