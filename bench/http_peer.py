"""The other side of bench.http: a server, or a client that asks it, over `ssl` alone and with as little HTTP as will do.

``python -m bench.http_peer serve SERVER_PEM ROOT_PEM`` prints its port, and serves until its input ends.
``python -m bench.http_peer load SERVER_PEM ROOT_PEM PORT`` prints 0, and answers each line "new N" or "kept N" with "done".
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys

from bench.credentials import SERVER_NAME

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
REQUEST = f"GET / HTTP/1.1\r\nHost: {SERVER_NAME}\r\n\r\n".encode()


class Answering(asyncio.Protocol):
    """Answers whatever ends with an empty line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._heard = b""

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            _, _, self._heard = self._heard.partition(b"\r\n\r\n")
            self._transport.write(ANSWER)


async def serve(server_pem: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.load_cert_chain(server_pem)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


class Client:
    """One connection."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        self._tcp = socket.create_connection(("127.0.0.1", port))
        # Or the request waits for the server to acknowledge Finished, which it puts off for 40 ms.
        self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = context.wrap_socket(self._tcp, server_hostname=SERVER_NAME)

    def ask(self) -> None:
        self._tls.sendall(REQUEST)
        heard = b""
        while not heard.endswith(b"\r\n\r\nhello"):
            data = self._tls.recv(65_536)
            assert data, heard
            heard += data

    def close(self) -> None:
        self._tls.close()


def load(root_pem: str, port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(root_pem)
    print(0, flush=True)
    kept: Client | None = None
    for line in sys.stdin:
        how, count = line.split()
        if how == "kept" and kept is None:
            kept = Client(context, port)
        for _ in range(int(count)):
            client = kept or Client(context, port)
            client.ask()
            if client is not kept:
                client.close()
        print("done", flush=True)
    if kept is not None:
        kept.close()


if __name__ == "__main__":
    role, its_pem, its_root, *rest = sys.argv[1:]
    if role == "serve":
        asyncio.run(serve(its_pem))
    else:
        load(its_root, int(rest[0]))
