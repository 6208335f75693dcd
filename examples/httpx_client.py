"""httpx, with HTTP/2 where the server has it.

python httpx_client.py [URL [CAFILE]]
"""

import sys

import httpx

from handfast.transport import ssl_module


def main(url="https://www.python.org/", cafile=None):
    context = ssl_module.create_default_context(cafile=cafile)
    with httpx.Client(verify=context, http2=True) as client:
        answer = client.get(url)
        print(answer.http_version, answer.status_code, len(answer.content))


if __name__ == "__main__":
    main(*sys.argv[1:])
