"""An ASGI application that tells what TLS was agreed, and who the client is. uvicorn_server.py and hypercorn_server.py run it."""

import json

from handfast.transport.asgi import TLSExtension


async def hello(scope, receive, send):
    tls = scope.get("extensions", {}).get("tls")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(tls)})
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(tls).encode()})


app = TLSExtension(hello)
