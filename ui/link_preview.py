"""What a shared link shows: a title, a sentence and an image, in `og:` and `twitter:` tags."""

import re
from html import escape
from pathlib import Path

from gradio.route_utils import get_root_url
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

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
        app = self.app
        if scope["type"] == "http" and scope["path"] == IMAGE_PATH:
            app = FileResponse(self.image)
        elif scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET":
            app = BaseHTTPMiddleware(self.app, self.change_tags)
        await app(scope, receive, send)

    async def change_tags(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """The page as Gradio answers it, with other tags."""
        response = await call_next(request)
        page = b"".join([part async for part in response.body_iterator])
        page = GRADIO_TAG.sub(b"", page).replace(b"<head>", b"<head>" + self.tags(request), 1)
        del response.headers["content-length"]
        return Response(page, response.status_code, response.headers)

    def tags(self, request: Request) -> bytes:
        """The tags, with the addresses by which the visitor sees the page and the image."""
        url = get_root_url(request, "/", request.scope.get("root_path"))
        values = self.texts | {"type": "website", "url": url, "image": url + IMAGE_PATH}
        og = [f'<meta property="og:{name}" content="{escape(v)}">' for name, v in values.items()]
        return "".join([*og, '<meta name="twitter:card" content="summary_large_image">']).encode()
