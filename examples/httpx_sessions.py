"""httpx that comes back: a file keeps the sessions, so that the next run resumes too.

python httpx_sessions.py [URL [CAFILE [SESSIONS]]]
"""

import sys

import httpx

import handfast
from handfast.transport import ssl_module


def main(url="https://www.python.org/", cafile=None, sessions="sessions"):
    context = ssl_module.create_default_context(cafile=cafile)
    context.handfast = handfast.ClientConfig(sessions=handfast.FileSessions(sessions))
    for _ in range(2):
        print(httpx.get(url, verify=context).status_code)  # a connection each
    stats = context.session_stats()
    print(stats["connect_good"], "handshakes,", stats["hits"], "resumed")


if __name__ == "__main__":
    main(*sys.argv[1:])
