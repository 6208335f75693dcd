"""requests: an adapter hands our context to urllib3.

python requests_client.py [URL [CAFILE]]
"""

import sys

import requests
from requests.adapters import HTTPAdapter

from handfast.transport import ssl_module


class Handfast(HTTPAdapter):
    def __init__(self, context):
        self.context = context
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, ssl_context=self.context, **kwargs)

    def proxy_manager_for(self, proxy, **kwargs):
        return super().proxy_manager_for(proxy, ssl_context=self.context, **kwargs)


def main(url="https://www.python.org/", cafile=None):
    with requests.Session() as session:
        session.mount("https://", Handfast(ssl_module.create_default_context(cafile=cafile)))
        answer = session.get(url)
        print(answer.status_code, len(answer.content))


if __name__ == "__main__":
    main(*sys.argv[1:])
