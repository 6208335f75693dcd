"""redis-py. It makes its contexts itself, so its module ``ssl`` is ours.

python redis_client.py HOST PORT [CAFILE]
"""

import sys

import redis
import redis.connection

from handfast.transport import ssl_module

redis.connection.ssl = ssl_module


def main(host, port, cafile=None):
    with redis.Redis(host, int(port), ssl=True, ssl_ca_certs=cafile) as client:
        client.set("greeting", "hello")
        print(client.get("greeting").decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
