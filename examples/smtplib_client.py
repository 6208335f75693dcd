"""smtplib, with STARTTLS.

python smtplib_client.py HOST PORT [CAFILE]
"""

import smtplib
import sys

from handfast.transport import ssl_module


def main(host, port, cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    with smtplib.SMTP(host, int(port), local_hostname="client.example") as smtp:
        smtp.starttls(context=context)
        smtp.ehlo()
        print(smtp.sock.version(), smtp.sock.cipher()[0])
        print(*smtp.noop())


if __name__ == "__main__":
    main(*sys.argv[1:])
