"""trio: one HTTPS request.

python trio_client.py [HOST [PORT [CAFILE]]]
"""

import sys

import trio

from handfast.transport import ssl_module


async def main(host="www.python.org", port="443", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    stream = await trio.open_ssl_over_tcp_stream(host, int(port), ssl_context=context, https_compatible=True)
    async with stream:
        await stream.send_all(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join([part async for part in stream])
        print(answer.partition(b"\r\n")[0].decode())


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
