"""gunicorn, with two workers.

python gunicorn_server.py CERTFILE KEYFILE [PORT]

In a configuration file of gunicorn's it is the function ``ssl_context(config, default_ssl_context_factory)``.
"""

import ssl
import sys

from gunicorn.app.base import BaseApplication

from handfast.transport import ssl_module


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.url_scheme"].encode()]


def ssl_context(config, default_ssl_context_factory):
    context = ssl_module.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.certfile, config.keyfile)
    return context


class Server(BaseApplication):
    def __init__(self, **settings):
        self.settings = settings
        super().__init__()

    def load_config(self):
        for name, value in self.settings.items():
            self.cfg.set(name, value)

    def load(self):
        return hello


def main(certfile, keyfile, port="8443"):
    bind = f"127.0.0.1:{port}"
    Server(bind=bind, workers=2, certfile=certfile, keyfile=keyfile, ssl_context=ssl_context).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
