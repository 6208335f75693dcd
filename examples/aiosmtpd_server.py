"""aiosmtpd: a mail server whose clients say STARTTLS. It prints what it gets.

python aiosmtpd_server.py CERTFILE KEYFILE [PORT]
"""

import ssl
import sys
import threading

from aiosmtpd.controller import Controller

from handfast.transport import ssl_module


class Printing:
    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        print(session.ssl is not None, envelope.mail_from, envelope.rcpt_tos, flush=True)
        return "250 OK"


def main(certfile, keyfile, port="8025"):
    context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    Controller(Printing(), hostname="127.0.0.1", port=int(port), tls_context=context, require_starttls=True).start()
    print("listening", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
