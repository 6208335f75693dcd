"""asyncio's streams, as a server that echoes; a client may bring a certificate.

python asyncio_server.py CERTFILE KEYFILE [PORT [CLIENT_CAFILE]]
"""

import asyncio
import ssl
import sys

from handfast.transport import ssl_module


async def echo(reader, writer):
    print(writer.get_extra_info("ssl_object").version(), writer.get_extra_info("peercert"), flush=True)
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main(certfile, keyfile, port="8443", client_cafile=None):
    context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_cafile)
    context.load_cert_chain(certfile, keyfile)
    if client_cafile:
        context.verify_mode = ssl.CERT_OPTIONAL
    server = await asyncio.start_server(echo, "127.0.0.1", int(port), ssl=context)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
