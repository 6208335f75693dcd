"""What ssl has no name for: a hybrid group, the facts of the handshake, and keys of one's own out of it.

python more_than_ssl.py [HOST [PORT [CAFILE]]]
"""

import socket
import sys

import handfast
from handfast.transport import ssl_module


def main(host="www.python.org", port="443", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    context.handfast = handfast.ClientConfig(groups=["X25519MLKEM768", "x25519"])
    with socket.create_connection((host, int(port))) as tcp, context.wrap_socket(tcp, server_hostname=host) as tls:
        agreed = tls.handfast.handshake
        print(agreed.version, agreed.cipher_suite, agreed.group, agreed.peer.subject_alternative_names)
        print(len(tls.handfast.export_keying_material("EXPORTER-example", 32)))


if __name__ == "__main__":
    main(*sys.argv[1:])
