"""httpx, to a service that is known by its SPIFFE id: any address will do, and the name in the URL proves nothing.

python spiffe_client.py PORT CAFILE CERTFILE KEYFILE RULE
"""

import sys

import httpx

from handfast import AllowSpiffe, ClientConfig, Policy, Reloading, ServiceVerifier
from handfast.transport import ssl_module


def main(port, cafile, certfile, keyfile, rule):
    def settings(files):
        return ClientConfig(
            identities=[files.identity(certfile, keyfile)],
            verifier=ServiceVerifier(files.trust(cafile), Policy(allow=AllowSpiffe(rule))),
        )

    live = Reloading(settings)  # a program that runs for long calls live.poll() now and then, or has live.watch()
    context = ssl_module.create_default_context(cafile=cafile)
    context.handfast = live()
    print(httpx.get(f"https://127.0.0.1:{port}/", verify=context).text, end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
