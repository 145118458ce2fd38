"""A small Hugging Face Hub on localhost: the real clients push to it and load from it.

    with serve(root, {"hf_alice": "alice", "hf_ro": "alice:read"}) as url: ...

The clients read HF_ENDPOINT and HF_HOME when they are imported: run them in subprocesses, with a
fresh HF_HOME. Without HF_HUB_DISABLE_XET=1 they upload to a Xet storage server, which this is not.

A commit is a folder of plain files, so a test can look at what was pushed, or seed (`add_repo`):

    models/alice/demo/<sha>/...  one commit; also datasets/ and spaces/, each with its own names
    models/alice/demo/main       a symlink to the latest commit
    models/alice/demo/log        a line per commit: sha, user, title
    lfs/<sha256>                 an uploaded LFS object

To make it fail, POST /_faults {"lfs_put": [500, 0], "commit": [503], "create": [403]}: what the
next such requests are answered, where 0 drops the connection. Nothing is stored then, and a POST
replaces the plan. {"create": [403]} is also how a free repo name gets refused.

Left out: branches, tags, pull requests, organisations, private repos, multipart LFS, search,
deleting repos.
"""

import base64
import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

LFS_TYPES = ["safetensors", "bin", "pt", "pth", "onnx", "npz", "parquet", "zip"]
GITATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_TYPES)


def matches(path: str, patterns: list[str]) -> bool:
    """Whether a pattern fits the path, a part of it or a folder above it: git's rules, nearly."""
    above = PurePosixPath(path)
    names = {path, *above.parts, *map(str, above.parents)}
    return any(fnmatchcase(name, pattern.strip("/")) for pattern in patterns for name in names)


def is_lfs(path: str, size: int, sample: bytes, gitattributes: str) -> bool:
    """LFS takes what .gitattributes names, binary files over 1 MB, and everything from 10 MB on."""
    patterns = [line.split()[0] for line in gitattributes.splitlines() if "filter=lfs" in line]
    large = size >= 10**7 or (size > 10**6 and b"\0" in sample)
    return size > 0 and (large or matches(path, patterns))


def read_text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


@cache  # a commit never changes
def listing(commit: Path) -> dict[str, dict[str, Any]]:
    """The files and folders of a commit, each as the tree and paths-info endpoints describe it."""
    rows, gitattributes = {}, read_text(commit / ".gitattributes")
    for path in sorted(commit.rglob("*")):
        name = path.relative_to(commit).as_posix()
        rows[name] = {"type": "directory", "path": name, "size": 0, "oid": "0" * 40}
        if path.is_file():
            content, size = path.read_bytes(), path.stat().st_size
            # The client compares oid with its own file: git's sha1 of it, or for LFS the sha256.
            oid = hashlib.sha1(b"blob %d\0" % size + content).hexdigest()
            if is_lfs(name, size, content[:512], gitattributes):
                oid = hashlib.sha256(content).hexdigest()
                rows[name]["lfs"] = {"oid": oid, "size": size, "pointerSize": 130}
            rows[name] |= {"type": "file", "size": size, "oid": oid}
    return rows


def add_commit(repo: Path, changes: dict[str, Path | bytes | None], user: str, title: str) -> str:
    """Put files on main (None deletes one), all or none; no difference makes no new commit."""
    head = (repo / "main").resolve()
    old = {name: head / name for name, row in listing(head).items() if row["type"] == "file"}
    repo.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=repo) as temp:
        new = Path(temp, "commit")
        for name, content in (old | changes).items():
            if content is not None:
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    os.link(content, new / name)
                else:
                    (new / name).write_bytes(content)
        if listing(new) == listing(head):
            return head.name
        sha = hashlib.sha1(f"{head.name} {json.dumps(listing(new))}".encode()).hexdigest()
        new.rename(repo / sha)
        Path(temp, "main").symlink_to(sha)
        Path(temp, "main").replace(repo / "main")
    with (repo / "log").open("a") as log:
        log.write(f"{sha} {user} {title}\n")
    return sha


def create(repo: Path) -> None:
    """Begin as the Hub does, with one commit that holds .gitattributes."""
    add_commit(repo, {".gitattributes": GITATTRIBUTES.encode()}, repo.parent.name, "initial commit")


def add_repo(root: str | Path, repo_type: str, repo_id: str, folder: str | Path) -> str:
    """Commit a local folder to a repo, new or not, with or without a server; returns the sha."""
    repo = Path(root, f"{repo_type}s", repo_id)
    if not repo.exists():
        create(repo)
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    changes = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return add_commit(repo, changes, repo.parent.name, f"Add {repo_id}")


def card_data(readme: str) -> dict[str, Any]:
    """The YAML at the head of a README.md, {} where there is none."""
    head = re.match(r"---\s*\n(.*?)^---\s*$", readme, re.DOTALL | re.MULTILINE)
    data = (yaml.safe_load(head[1]) or {}) if head else {}
    return json.loads(json.dumps(data, default=str))  # YAML has dates, JSON has not


def refusal(status: int, message: str, code: str = "", **headers: str) -> HTTPException:
    """An error; X-Error-Code is what makes the client raise the exception class that fits."""
    headers |= {"X-Error-Message": message, "X-Error-Code": code}
    return HTTPException(status, message, headers)


async def answer_refusal(request: Request, error: HTTPException) -> Response:
    if error.status_code == 0:  # uvicorn hangs up when a body is shorter than announced
        return Response(headers={"Content-Length": "1"})
    if not error.headers:  # no route: a repo id without an owner, or an endpoint that is left out
        message = f"hub.py has no {request.method} {request.url.path}"
        error = refusal(error.status_code, message, "RepoNotFound")
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


class Hub:
    """The endpoints. None awaits between reading main and moving it: commits cannot interleave."""

    def __init__(self, root: str | Path, tokens: dict[str, str]) -> None:
        self.root, self.tokens = Path(root), tokens
        self.faults: dict[str, list[int]] = {}

    def user(self, request: Request, owner: str = "") -> str:
        """The caller, "" without a token; with an owner, only who may write there gets through."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            raise refusal(401, "Invalid credentials in Authorization header")
        user, _, role = self.tokens.get(token, "").partition(":")
        if owner and (user != owner or role == "read"):
            raise refusal(403, f"Forbidden: this token of {user} may not write to {owner}")
        return user

    def repo(self, request: Request, write: bool = False) -> Path:
        """The repo that the URL names, if it exists and, with `write`, the caller may change it."""
        user, params = self.user(request), request.path_params
        repo = self.root / params.get("kind", "models") / params["owner"] / params["name"]
        if not repo.exists() or (write and not user):
            # Without a token the Hub answers 401 even where there is no repo.
            raise refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if write:
            self.user(request, params["owner"])
        return repo

    def head(self, request: Request, write: bool = False) -> Path:
        """The commit that the URL names by `main` or its sha, `main` when it names none."""
        commit = (self.repo(request, write) / request.path_params.get("rev", "main")).resolve()
        if not re.fullmatch("[0-9a-f]{40}", commit.name) or not commit.exists():
            raise refusal(404, "Invalid rev id", "RevisionNotFound")
        return commit

    def page(self, request: Request, repo: Path) -> str:
        """The web page of a repo; the clients parse it to learn its type and id."""
        path = repo.relative_to(self.root).as_posix()
        return f"{request.base_url}{path.removeprefix('models/')}"

    async def body(self, request: Request, fault: str) -> bytes:
        """The body of the request, or the failure that a test planned for it."""
        if not self.faults.get(fault):
            return await request.body()
        status = self.faults[fault].pop(0)
        async for _ in request.stream():
            if status == 0:  # drop the connection while the client still sends
                break
        raise refusal(status, "Planned failure")

    async def set_faults(self, request: Request) -> Response:
        self.faults = await request.json()
        return Response()

    async def whoami(self, request: Request) -> Response:
        if not (user := self.user(request)):
            raise refusal(401, "Invalid username or password.")
        auth = {"type": "access_token", "accessToken": {"displayName": "test"}}
        return JSONResponse({"type": "user", "name": user, "orgs": [], "auth": auth})

    async def info(self, request: Request) -> Response:
        commit = self.head(request)
        owner, name = commit.parts[-3:-1]
        card = card_data(read_text(commit / "README.md"))
        files = [row for row in listing(commit).values() if row["type"] == "file"]
        about = {
            "id": f"{owner}/{name}",
            "author": owner,
            "sha": commit.name,
            "lastModified": time.strftime("%FT%T.000Z", time.gmtime(commit.stat().st_mtime)),
            "private": False,
            "cardData": card,
            "siblings": [{"rfilename": row["path"], "size": row["size"]} for row in files],
        }
        shown = ("tags", "pipeline_tag", "library_name", "sdk")
        return JSONResponse(about | {key: card[key] for key in shown if key in card})

    async def auth_check(self, request: Request) -> Response:
        self.repo(request, write=request.url.path.endswith("/write"))
        return Response()

    async def tree(self, request: Request) -> Response:
        rows, folder = listing(self.head(request)), request.path_params.get("path")
        if folder and folder not in rows:
            raise refusal(404, "Entry not found", "EntryNotFound")
        start = f"{folder}/" if folder else ""
        rows = {path[len(start) :]: row for path, row in rows.items() if path.startswith(start)}
        recursive = request.query_params.get("recursive") == "true"
        return JSONResponse([row for path, row in rows.items() if recursive or "/" not in path])

    async def paths_info(self, request: Request) -> Response:
        paths = parse_qs((await request.body()).decode()).get("paths", [])
        rows = listing(self.head(request))
        return JSONResponse([rows[path] for path in paths if path in rows])

    async def refs(self, request: Request) -> Response:
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": self.head(request).name}
        return JSONResponse({"branches": [main], "tags": [], "converts": [], "pullRequests": []})

    async def resolve(self, request: Request) -> Response:
        commit, path = self.head(request), request.path_params["path"]
        headers = {"X-Repo-Commit": commit.name}
        row = listing(commit).get(path, {})
        if row.get("type") != "file":
            # With the commit in hand the client also caches that the file is missing.
            raise refusal(404, "Entry not found", "EntryNotFound", **headers)
        headers["ETag"] = f'"{row["oid"]}"'
        if "lfs" in row:
            headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(row["size"])}
        return FileResponse(commit / path, headers=headers)

    async def create(self, request: Request) -> Response:
        wanted = json.loads(await self.body(request, "create"))
        if not (user := self.user(request)):
            raise refusal(401, "Invalid username or password.")
        owner = wanted.get("organization") or user
        self.user(request, owner)
        repo = self.root / f"{wanted.get('type', 'model')}s" / owner / wanted["name"]
        # The client reads `url` from the answer even if it is a 409, which exist_ok forgives.
        answer = {"url": self.page(request, repo), "error": "You already created this repo"}
        if repo.exists():
            return JSONResponse(answer, 409)
        create(repo)
        return JSONResponse(answer | {"error": None})

    async def validate_yaml(self, request: Request) -> Response:
        try:
            card_data((await request.json())["content"])
        except yaml.YAMLError as error:
            return JSONResponse({"errors": [{"message": str(error)}]}, 400)
        return JSONResponse({"errors": [], "warnings": []})

    async def preupload(self, request: Request) -> Response:
        """Tell the client which files go to LFS, which .gitignore leaves out, which main has."""
        wanted, head = await request.json(), self.head(request, write=True)
        gitattributes = read_text(head / ".gitattributes")
        gitignore = wanted.get("gitIgnore", read_text(head / ".gitignore")).split()
        files = []
        for file in wanted["files"]:
            path, sample = file["path"], base64.b64decode(file["sample"])
            lfs = is_lfs(path, file["size"], sample, gitattributes)
            row = {"path": path, "uploadMode": "lfs" if lfs else "regular"}
            known = listing(head).get(path, {}).get("oid")
            files.append(row | {"oid": known, "shouldIgnore": matches(path, gitignore)})
        return JSONResponse({"files": files})

    async def lfs_batch(self, request: Request) -> Response:
        objects = (await request.json())["objects"]
        self.repo(request, write=True)
        for item in objects:
            if not (self.root / "lfs" / item["oid"]).exists():  # else no actions: nothing to upload
                action = {"href": f"{request.base_url}_lfs/{item['oid']}"}
                item["actions"] = {"upload": action}
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def lfs_put(self, request: Request) -> Response:
        # No rights to check: as with the Hub's presigned URLs, the client sends no token here.
        content, oid = await self.body(request, "lfs_put"), request.path_params["oid"]
        if hashlib.sha256(content).hexdigest() != oid:
            raise refusal(400, "The content does not have the announced sha256")
        (self.root / "lfs").mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.root) as temp:
            Path(temp, oid).write_bytes(content)
            Path(temp, oid).replace(self.root / "lfs" / oid)
        return Response()

    async def commit(self, request: Request) -> Response:
        body = await self.body(request, "commit")
        head = self.head(request, write=True)
        header, *operations = [json.loads(line) for line in body.splitlines()]
        if request.path_params["rev"] != "main" or "create_pr" in request.query_params:
            raise refusal(400, "This Hub takes commits to main only")
        if not head.name.startswith(header["value"].get("parentCommit", "")):
            raise refusal(412, "A commit has happened since. Please refresh and try again.")
        changes: dict[str, Path | bytes | None] = {}
        for key, value in ((operation["key"], operation["value"]) for operation in operations):
            path = value["path"].rstrip("/")
            if key == "file":
                changes[path] = base64.b64decode(value["content"])
            elif key == "lfsFile" and (stored := self.root / "lfs" / value["oid"]).exists():
                changes[path] = stored
            elif key.startswith("deleted") and path in listing(head):
                gone = [name for name in listing(head) if f"{name}/".startswith(f"{path}/")]
                changes |= dict.fromkeys(gone)
            else:
                message = "A file with this name doesn't exist, or its LFS object was not uploaded"
                raise refusal(404, message, "EntryNotFound")
        sha = add_commit(head.parent, changes, self.user(request), header["value"]["summary"])
        url = f"{self.page(request, head.parent)}/commit/{sha}"
        return JSONResponse({"success": True, "commitOid": sha, "commitUrl": url})


def make_app(root: str | Path, tokens: dict[str, str]) -> Starlette:
    """`tokens` maps each token to its user; {"hf_ro": "alice:read"} is one that may not write."""
    hub, api = Hub(root, tokens), "/api/{kind}/{owner}/{name}"
    routes: list[tuple[str, str, Any]] = [
        ("POST", "/_faults", hub.set_faults),
        ("PUT", "/_lfs/{oid}", hub.lfs_put),
        ("GET", "/api/whoami-v2", hub.whoami),
        ("POST", "/api/repos/create", hub.create),
        ("POST", "/api/validate-yaml", hub.validate_yaml),
        ("GET", api, hub.info),
        ("GET", api + "/revision/{rev}", hub.info),
        ("GET", api + "/auth-check", hub.auth_check),
        ("GET", api + "/auth-check/write", hub.auth_check),
        ("GET", api + "/tree/{rev}", hub.tree),
        ("GET", api + "/tree/{rev}/{path:path}", hub.tree),
        ("POST", api + "/paths-info/{rev}", hub.paths_info),
        ("GET", api + "/refs", hub.refs),
        ("POST", api + "/preupload/{rev}", hub.preupload),
        ("POST", api + "/commit/{rev}", hub.commit),
    ]
    for repo in ("/{owner}/{name}", "/{kind}/{owner}/{name}"):  # the URL of a model names no kind
        routes.append(("GET", repo + "/resolve/{rev}/{path:path}", hub.resolve))
        routes.append(("POST", repo + ".git/info/lfs/objects/batch", hub.lfs_batch))
    return Starlette(
        routes=[Route(path, endpoint, methods=[method]) for method, path, endpoint in routes],
        exception_handlers={HTTPException: answer_refusal},
    )


@contextmanager
def serve(root: str | Path, tokens: dict[str, str]) -> Iterator[str]:
    """Run the Hub in a thread, on a free port, and yield its URL."""
    server = uvicorn.Server(uvicorn.Config(make_app(root, tokens), log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
