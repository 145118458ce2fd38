"""A small Hugging Face Hub on localhost: the real clients push to it and load from it.

    with serve({"hf_alice": "alice", "hf_ro": "alice:read"}) as hub: ...  # alice's two tokens

The clients read HF_ENDPOINT (`hub.url`) and HF_HOME when they are imported: run them in processes
of their own.

Left out: LFS and Xet (large files come with the commit, as small ones do), branches, tags, pull
requests, organisations, private repos, search, .gitignore, deleting files and repos.
"""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha1
from pathlib import Path, PurePosixPath
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

GITATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


@dataclass
class Commit:
    """A commit, which never changes: all files of the repo, by their paths."""

    sha: str
    files: dict[str, bytes]

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The files and folders, each as the tree endpoint describes it."""
        rows = {}
        for path, content in sorted(self.files.items()):
            for folder in map(str, PurePosixPath(path).parents[:-1]):  # the last is the root
                rows[folder] = {"type": "directory", "path": folder, "size": 0, "oid": "0" * 40}
            oid = sha1(content).hexdigest()
            rows[path] = {"type": "file", "path": path, "size": len(content), "oid": oid}
        return rows


def refusal(status: int, message: str, code: str = "", **headers: str) -> HTTPException:
    """An error; X-Error-Code is what makes the client raise the exception class that fits."""
    headers |= {"X-Error-Message": message, "X-Error-Code": code}
    return HTTPException(status, message, headers)


@dataclass
class Hub:
    """What it holds, and its endpoints. None awaits while it commits: commits cannot interleave.

    Args:
        tokens: Of each token the user; {"hf_ro": "alice:read"} is one that may not write.
        repos: Of "models/alice/demo" the commits; also datasets/ and spaces/.
        failures: At so many of the next commits it drops the connection, and stores nothing.
    """

    tokens: dict[str, str]
    url: str
    repos: dict[str, list[Commit]] = field(default_factory=dict)
    failures: int = 0

    def put(self, repo: str, changes: dict[str, bytes]) -> Commit:
        """Put files on main; where nothing differs there is no new commit.

        A repo begins as on the Hub, with one commit that holds .gitattributes.
        """
        first = Commit(sha1(repo.encode()).hexdigest(), {".gitattributes": GITATTRIBUTES})
        commits = self.repos.setdefault(repo, [first])
        files = commits[-1].files | changes
        if files != commits[-1].files:
            commits.append(Commit(sha1(commits[-1].sha.encode()).hexdigest(), files))
        return commits[-1]

    def add(self, repo: str, folder: Path) -> Commit:
        """Commit a local folder to a repo, new or not."""
        paths = (path for path in folder.rglob("*") if path.is_file())
        return self.put(repo, {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths})

    def files(self, repo: str) -> dict[str, bytes]:
        return self.repos[repo][-1].files

    def user(self, request: Request, owner: str = "") -> str:
        """The caller, "" without a token; with an owner, only who may write there gets through."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            raise refusal(401, "Invalid credentials in Authorization header")
        user, _, role = self.tokens.get(token, "").partition(":")
        if owner and (user != owner or role == "read"):
            raise refusal(403, f"Forbidden: this token of {user} may not write to {owner}")
        return user

    def repo(self, request: Request, write: bool = False) -> str:
        """The repo that the URL names, if it exists and, with `write`, the caller may change it."""
        user, params = self.user(request), request.path_params
        repo = f"{params.get('kind', 'models')}/{params['owner']}/{params['name']}"
        if repo not in self.repos or (write and not user):
            # Without a token the Hub answers 401 even where there is no repo.
            raise refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if write:
            self.user(request, params["owner"])
        return repo

    def commit(self, request: Request) -> Commit:
        """The commit that the URL names by its sha, or the last one: `main`."""
        rev, commits = request.path_params.get("rev", "main"), self.repos[self.repo(request)]
        found = [commit for commit in commits if rev in ("main", commit.sha)]
        if not found:
            raise refusal(404, "Invalid rev id", "RevisionNotFound")
        return found[-1]

    async def info(self, request: Request) -> Response:
        commit, repo = self.commit(request), self.repo(request)
        files = [{"rfilename": path} for path in commit.files]
        about = {"id": repo.partition("/")[2], "sha": commit.sha, "private": False}
        return JSONResponse(about | {"siblings": files})

    async def auth_check(self, request: Request) -> Response:
        self.repo(request, write=True)
        return Response()

    async def tree(self, request: Request) -> Response:
        rows, folder = self.commit(request).rows, request.path_params.get("path")
        if folder and folder not in rows:
            raise refusal(404, "Entry not found", "EntryNotFound")
        start = f"{folder}/" if folder else ""
        rows = {path[len(start) :]: row for path, row in rows.items() if path.startswith(start)}
        recursive = request.query_params.get("recursive") == "true"
        return JSONResponse([row for path, row in rows.items() if recursive or "/" not in path])

    async def resolve(self, request: Request) -> Response:
        commit, path = self.commit(request), request.path_params["path"]
        headers = {"X-Repo-Commit": commit.sha}
        if path not in commit.files:
            # With the commit in hand the client also caches that the file is missing.
            raise refusal(404, "Entry not found", "EntryNotFound", **headers)
        headers["ETag"] = f'"{commit.rows[path]["oid"]}"'
        return Response(commit.files[path], headers=headers)

    async def create(self, request: Request) -> Response:
        wanted = await request.json()
        if not (user := self.user(request)):
            raise refusal(401, "Invalid username or password.")
        owner = wanted.get("organization") or user
        self.user(request, owner)
        repo = f"{wanted.get('type', 'model')}s/{owner}/{wanted['name']}"
        status = 409 if repo in self.repos else 200  # the client reads `url` from both
        self.put(repo, {})
        # The clients parse it to learn the repo's type and id.
        return JSONResponse({"url": f"{self.url}/{repo.removeprefix('models/')}"}, status)

    async def validate_yaml(self, request: Request) -> Response:
        return JSONResponse({"errors": [], "warnings": []})

    async def preupload(self, request: Request) -> Response:
        """Tell the client how each file is uploaded."""
        self.repo(request, write=True)
        how = {"uploadMode": "regular", "shouldIgnore": False}
        wanted = await request.json()
        return JSONResponse({"files": [{"path": f["path"]} | how for f in wanted["files"]]})

    async def add_commit(self, request: Request) -> Response:
        if self.failures > 0:
            self.failures -= 1
            async for _ in request.stream():
                break  # while the client still sends
            # uvicorn hangs up when a body is shorter than announced.
            return Response(headers={"Content-Length": "1"})
        body, repo = await request.body(), self.repo(request, write=True)
        _, *files = (json.loads(line)["value"] for line in body.splitlines())  # after the header
        changes = {file["path"]: base64.b64decode(file["content"]) for file in files}
        sha = self.put(repo, changes).sha
        url = f"{self.url}/{repo.removeprefix('models/')}/commit/{sha}"
        return JSONResponse({"success": True, "commitOid": sha, "commitUrl": url})


def make_app(hub: Hub) -> Starlette:
    api, resolve = "/api/{kind}/{owner}/{name}", "/{owner}/{name}/resolve/{rev}/{path:path}"
    routes = [
        ("GET", resolve, hub.resolve),  # the URL of a model names no kind
        ("GET", "/{kind}" + resolve, hub.resolve),
        ("POST", "/api/repos/create", hub.create),
        ("POST", "/api/validate-yaml", hub.validate_yaml),
        ("GET", api, hub.info),
        ("GET", api + "/revision/{rev}", hub.info),
        ("GET", api + "/auth-check/write", hub.auth_check),
        ("GET", api + "/tree/{rev}", hub.tree),
        ("GET", api + "/tree/{rev}/{path:path}", hub.tree),
        ("POST", api + "/preupload/{rev}", hub.preupload),
        ("POST", api + "/commit/{rev}", hub.add_commit),
    ]
    routes = [Route(path, endpoint, methods=[method]) for method, path, endpoint in routes]
    return Starlette(routes=routes)


@contextmanager
def serve(tokens: dict[str, str]) -> Iterator[Hub]:
    """Run a Hub in a thread, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hub = Hub(tokens, f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(make_app(hub), log_level="critical"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield hub
        finally:
            server.should_exit = True
            thread.join()
