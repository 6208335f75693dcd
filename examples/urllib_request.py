"""urllib.request, of the standard library.

python urllib_request.py [URL [CAFILE]]
"""

import sys
import urllib.request

from handfast.transport import ssl_module


def main(url="https://www.python.org/", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    with urllib.request.urlopen(url, context=context) as answer:
        print(answer.status, len(answer.read()))


if __name__ == "__main__":
    main(*sys.argv[1:])
