"""urllib3: two requests over one connection.

python urllib3_client.py [URL [CAFILE]]
"""

import sys

import urllib3

from handfast.transport import ssl_module


def main(url="https://www.python.org/", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    with urllib3.PoolManager(ssl_context=context) as pool:
        for _ in range(2):
            answer = pool.request("GET", url)
            print(answer.status, len(answer.data))


if __name__ == "__main__":
    main(*sys.argv[1:])
