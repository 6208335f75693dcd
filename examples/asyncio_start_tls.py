"""asyncio's start_tls: a mail server is spoken to in plain text first, then over TLS.

python asyncio_start_tls.py HOST PORT [CAFILE]

handfast.aio.open_connection(..., starttls="smtp") does the same, and refuses what an attacker may have put in between.
"""

import asyncio
import sys

from handfast.transport import ssl_module


async def say(reader, writer, line):
    writer.write(line + b"\r\n")
    return await answer(reader)


async def answer(reader):
    while True:
        line = await reader.readline()
        if line[3:4] != b"-":
            return line.decode().strip()


async def main(host, port, cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    reader, writer = await asyncio.open_connection(host, int(port))
    print(await answer(reader))
    await say(reader, writer, b"EHLO client.example")
    print(await say(reader, writer, b"STARTTLS"))
    await writer.start_tls(context, server_hostname=host)
    print(writer.get_extra_info("ssl_object").version())
    print(await say(reader, writer, b"EHLO client.example"))
    print(await say(reader, writer, b"QUIT"))
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
