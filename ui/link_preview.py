"""What a shared link shows: a title, a sentence and an image, in `og:` and `twitter:` tags."""

import re
from html import escape
from pathlib import Path

from gradio.route_utils import get_root_url
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

IMAGE_PATH = "/preview.png"
GRADIO_TAG = re.compile(rb'<meta\s+(?:property="og|name="twitter):[^>]*>\s*')


class LinkPreview:
    """ASGI middleware: the page's own tags in place of Gradio's, which would come first.

    Args:
        app: Serves the page at "/".
        title, sentence: Plain text.
        image: Served at `IMAGE_PATH`, 1200 x 630 pixels, as most who show previews ask for.
    """

    def __init__(self, app: ASGIApp, title: str, sentence: str, image: Path):
        self.app, self.image = app, image
        self.texts = {"title": title, "description": sentence}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == IMAGE_PATH:
            return await FileResponse(self.image)(scope, receive, send)
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            return await self.app(scope, receive, send)
        start, body = {}, b""

        async def gather(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            page = GRADIO_TAG.sub(b"", body).replace(b"<head>", b"<head>" + self.tags(scope), 1)
            headers = [
                (name, value) for name, value in start["headers"] if name != b"content-length"
            ]
            headers.append((b"content-length", str(len(page)).encode()))
            await send(start | {"headers": headers})
            await send(message | {"body": page})

        await self.app(scope, receive, gather)

    def tags(self, scope: Scope) -> bytes:
        """The tags, with the addresses by which the visitor sees the page and the image."""
        url = get_root_url(Request(scope), route_path="/", root_path=scope.get("root_path"))
        values = self.texts | {"type": "website", "url": url, "image": url.rstrip("/") + IMAGE_PATH}
        og = [f'<meta property="og:{name}" content="{escape(v)}">' for name, v in values.items()]
        return "".join([*og, '<meta name="twitter:card" content="summary_large_image">']).encode()
