"""ftplib: commands and files over TLS.

python ftplib_client.py HOST PORT FILE [CAFILE]
"""

import ftplib
import sys

from handfast.transport import ssl_module


def main(host, port, file, cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    with ftplib.FTP_TLS(context=context) as ftp:
        ftp.connect(host, int(port))
        ftp.login()
        ftp.prot_p()
        print(ftp.sock.version())
        ftp.retrlines(f"RETR {file}")


if __name__ == "__main__":
    main(*sys.argv[1:])
