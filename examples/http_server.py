"""http.server, of the standard library: a listening socket is wrapped, and each client shakes hands in a thread.

python http_server.py CERTFILE KEYFILE [PORT]
"""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from handfast.transport import ssl_module


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.connection.version().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(certfile, keyfile, port="8443"):
    context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    with ThreadingHTTPServer(("127.0.0.1", int(port)), Hello) as server:
        # Without do_handshake_on_connect, accept() does not wait for a client that says nothing.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        print("listening", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
