"""poplib, with STLS.

python poplib_client.py HOST PORT USER PASSWORD [CAFILE]
"""

import poplib
import sys

from handfast.transport import ssl_module


def main(host, port, user, password, cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    pop = poplib.POP3(host, int(port))
    pop.stls(context)
    print(pop.sock.version())
    pop.user(user)
    pop.pass_(password)
    print("messages, octets:", *pop.stat())
    pop.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
