"""imaplib, with STARTTLS.

python imaplib_client.py HOST PORT USER PASSWORD [CAFILE]
"""

import imaplib
import sys

from handfast.transport import ssl_module


def main(host, port, user, password, cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    with imaplib.IMAP4(host, int(port)) as imap:
        imap.starttls(context)
        print(imap.sock.version())
        imap.login(user, password)
        print(*imap.select("INBOX"))


if __name__ == "__main__":
    main(*sys.argv[1:])
