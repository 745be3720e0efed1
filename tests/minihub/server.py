"""A small Hub-compatible server for tests: real clients, no network, nothing mocked.

    python tests/minihub/server.py --root DIR --port 0          # prints "minihub ready at http://127.0.0.1:PORT"
    HF_ENDPOINT=http://127.0.0.1:PORT HF_TOKEN=hf_test HF_HOME=EMPTY_DIR HF_HUB_DISABLE_XET=1 pytest ...

Set these variables before `huggingface_hub` is imported: it reads the endpoint at import. Xet must be off, or
every large file goes through hf_xet, which this server does not speak. Tokens: `hf_test` (user me, member of
org), `hf_read` (me, read only), `hf_other` (user other).

Serves what huggingface_hub 2.x, datasets 5, transformers 5, evaluate and datatrove need to push and load:
repositories, branches, tags, atomic commits with the optimistic lock `parentCommit`, listings, LFS. Left out:
pull requests, discussions, buckets, gating, paged listings, repositories without a namespace.

Needs starlette and uvicorn. The repositories are in `store.py`; they end with the process.
`DIR/requests.log` gets a JSON object per request, without tokens. Three more endpoints order failures, and tell what
is left of them:

    GET    /_test/faults
    POST   /_test/faults {"method", "path", "status"?, "times"?, "skip"?, "headers"?, "after"?, "delay_s"?}
    DELETE /_test/faults

A fault answers the next `times` requests (default 1), after `skip` others (default 0), whose path matches the regular
expression `path`. With `after`, the request takes effect first and only its reply is lost. Without `status` the
request is served, `delay_s` late.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from store import LFS_POINTER_BYTES, HubError, Repo, Store, User, user_of, uses_lfs

Handler = Callable[[Request], Awaitable[Response]]

URL_PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


class MiniHub:
    """A method for each endpoint; `routes` lists them.

    One thread runs them all, and none awaits between reading and changing the store: each request is atomic.
    """

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.log = (root / "requests.log").open("a", buffering=1)
        self.faults: list[dict[str, Any]] = []

    def user(self, request: Request) -> User:
        return user_of(request.headers.get("authorization"))

    def repo(self, request: Request, *, write: bool = False) -> Repo:
        """The repository that the URL names."""
        params, user = request.path_params, self.user(request)
        kind = params.get("kind", "models").removesuffix("s")
        repo = self.store.find(kind, f"{params['namespace']}/{params['name']}", user)
        if write:
            user.check_write(params["namespace"])
        return repo

    # Account and repositories

    async def whoami(self, request: Request) -> Response:
        user = self.user(request)
        if not user.name:
            raise HubError(401, "Invalid username or password.")
        orgs = [{"type": "org", "name": org, "roleInOrg": "admin"} for org in user.namespaces[1:]]
        auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": user.role}}
        return JSONResponse({"type": "user", "id": user.name, "name": user.name, "orgs": orgs, "auth": auth})

    async def create_or_delete_repo(self, request: Request) -> Response:
        body, user = await request.json(), self.user(request)
        namespace = body.get("organization") or user.name
        user.check_write(namespace)
        kind, repo_id = body.get("type") or "model", f"{namespace}/{body['name']}"
        if request.method == "DELETE":
            self.store.delete(kind, repo_id)
            return Response("OK")
        reply = {"url": f"{request.base_url}{URL_PREFIXES[kind]}{repo_id}", "name": repo_id, "id": repo_id}
        if (kind, repo_id) in self.store.repos:
            return JSONResponse(reply | {"error": f"You already created this {kind} repo"}, 409)
        self.store.create(kind, repo_id, private=body.get("visibility") == "private")
        return JSONResponse(reply)

    async def settings(self, request: Request) -> Response:
        body = await request.json()
        repo = self.repo(request, write=True)
        if "visibility" in body:
            repo.private = body["visibility"] == "private"
        return JSONResponse(body)

    async def auth_check(self, request: Request) -> Response:
        self.repo(request)
        return Response("OK")

    async def validate_yaml(self, request: Request) -> Response:
        return JSONResponse({"errors": [], "warnings": []})

    # Reading

    async def info(self, request: Request) -> Response:
        repo, siblings = self.repo(request), []
        sha = repo.sha(request.path_params.get("rev", "main"))
        for path, file in sorted(repo.commits[sha].files.items()):
            sibling: dict[str, Any] = {"rfilename": path}
            if {"blobs", "expand"} & set(request.query_params):
                lfs = {"sha256": file.lfs, "size": file.size, "pointerSize": LFS_POINTER_BYTES}
                sibling |= {"size": file.size, "blobId": file.oid} | ({"lfs": lfs} if file.lfs else {})
            siblings.append(sibling)
        reply = {"_id": repo.id, "id": repo.id, "author": repo.id.split("/")[0], "private": repo.private, "sha": sha}
        reply |= {"createdAt": repo.created, "lastModified": repo.commits[sha].date, "siblings": siblings}
        return JSONResponse(reply | {"gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": []})

    async def tree(self, request: Request) -> Response:
        repo, folder = self.repo(request), request.path_params.get("path", "").strip("/")
        recursive = request.query_params.get("recursive", "").lower() == "true"
        return JSONResponse(repo.tree(repo.sha(request.path_params["rev"]), folder, recursive=recursive))

    async def paths_info(self, request: Request) -> Response:
        paths = parse_qs((await request.body()).decode()).get("paths", [])
        repo = self.repo(request)
        sha = repo.sha(request.path_params["rev"])
        known = repo.commits[sha].files.keys() | repo.commits[sha].folders()
        return JSONResponse([repo.entry(sha, path) for path in paths if path in known])

    async def refs(self, request: Request) -> Response:
        def listing(folder: str, refs: dict[str, str]) -> list[dict[str, str]]:
            return [{"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": sha} for name, sha in refs.items()]

        repo = self.repo(request)
        reply = {"branches": listing("heads", repo.branches), "tags": listing("tags", repo.tags)}
        return JSONResponse(reply | {"converts": [], "pullRequests": []})

    async def commits(self, request: Request) -> Response:
        repo = self.repo(request)
        authors = [{"user": repo.id.split("/")[0]}]
        history = [
            {"id": sha, "title": commit.title, "message": commit.message, "date": commit.date, "authors": authors}
            for sha, commit in repo.history(repo.sha(request.path_params["rev"]))
        ]
        return JSONResponse(history, headers={"X-Total-Count": str(len(history))})

    async def resolve(self, request: Request) -> Response:
        """A file, by GET (with ranges) or HEAD. The clients want the commit id even with a 404."""
        repo = self.repo(request)
        sha = repo.sha(request.path_params["rev"])
        file = repo.commits[sha].files.get(request.path_params["path"])
        if file is None:
            response = error_response(HubError(404, "Entry not found", "EntryNotFound"))
            response.headers["X-Repo-Commit"] = sha
            return response
        headers = {"X-Repo-Commit": sha, "ETag": f'"{file.blob}"'}
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.lfs}"', "X-Linked-Size": str(file.size)}
        return FileResponse(self.store.blobs / file.blob, headers=headers, media_type="application/octet-stream")

    # Writing: refs; then preupload (how to send each file), LFS (send the large ones), commit

    async def branch(self, request: Request) -> Response:
        body, name = json.loads(await request.body() or b"{}"), request.path_params["rev"]
        repo = self.repo(request, write=True)
        return self.change_ref(request, repo, repo.branches, name, body.get("startingPoint") or "main")

    async def tag(self, request: Request) -> Response:
        """The URL names the tag to delete, or the revision to put a tag on (its name is in the body)."""
        body, revision = json.loads(await request.body() or b"{}"), request.path_params["rev"]
        repo = self.repo(request, write=True)
        return self.change_ref(request, repo, repo.tags, body.get("tag", revision), revision)

    def change_ref(self, request: Request, repo: Repo, refs: dict[str, str], name: str, target: str) -> Response:
        if request.method == "DELETE":
            if refs.pop(name, None) is None:
                raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
        elif name in refs:
            raise HubError(409, f"Reference already exists: {name}")
        else:
            refs[name] = repo.sha(target)
        return JSONResponse({})

    async def preupload(self, request: Request) -> Response:
        files = (await request.json())["files"]
        repo, answers = self.repo(request, write=True), []
        present = repo.commits[repo.sha(request.path_params["rev"])].files
        for file in files:
            mode = "lfs" if uses_lfs(file["path"], file["size"]) else "regular"
            answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            if file["path"] in present:  # lets the client skip a file that did not change
                answer["oid"] = present[file["path"]].blob
            answers.append(answer)
        return JSONResponse({"files": answers})

    async def lfs_batch(self, request: Request) -> Response:
        objects = (await request.json())["objects"]
        self.repo(request, write=True)
        for item in objects:
            if self.store.lfs_size(item["oid"]) is None:  # an answer without actions means: already here
                upload, verify = f"{request.base_url}_lfs/{item['oid']}", f"{request.base_url}_lfs/verify"
                item["actions"] = {"upload": {"href": upload, "header": {}}, "verify": {"href": verify}}
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def lfs_put(self, request: Request) -> Response:
        self.store.add_lfs(request.path_params["oid"], await request.body())
        return Response("OK")

    async def lfs_verify(self, request: Request) -> Response:
        body = await request.json()
        if self.store.lfs_size(body["oid"]) != body["size"]:
            raise HubError(422, f"LFS object {body['oid']} is missing or has another size")
        return JSONResponse({})

    async def commit(self, request: Request) -> Response:
        header, *operations = [json.loads(line) for line in (await request.body()).splitlines() if line]
        repo = self.repo(request, write=True)
        if "create_pr" in request.query_params:
            raise HubError(501, "Pull requests are not supported")
        sha = self.store.commit(repo, request.path_params["rev"], header["value"], operations)
        url = f"{request.base_url}{URL_PREFIXES[repo.kind]}{repo.id}/commit/{sha}"
        return JSONResponse({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    # Faults, log, routing

    async def order_fault(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
        elif request.method == "POST":
            fault = {"times": 1, "skip": 0, "headers": {}, "after": False, "status": None, "delay_s": 0}
            self.faults.append(fault | await request.json())
        return JSONResponse(self.faults)

    async def unknown(self, request: Request) -> Response:
        raise HubError(404, f"minihub does not serve {request.method} {request.url.path}")

    def take_fault(self, request: Request) -> dict[str, Any] | None:
        for fault in self.faults:
            if fault["method"] == request.method and re.search(fault["path"], request.url.path):
                if fault["skip"] > 0:
                    fault["skip"] -= 1
                    continue
                fault["times"] -= 1
                if fault["times"] == 0:
                    self.faults.remove(fault)
                return fault
        return None

    def endpoint(self, handler: Handler) -> Handler:
        """Add what all endpoints share: unquoted parameters, faults, errors as replies, the log."""

        async def serve(request: Request) -> Response:
            request.scope["path_params"] = {name: unquote(value) for name, value in request.path_params.items()}
            fault = self.take_fault(request)
            if fault is not None and fault["delay_s"]:
                await asyncio.sleep(fault["delay_s"])
            try:
                if fault is None or fault["after"] or fault["status"] is None:
                    response = await handler(request)
            except HubError as error:
                response = error_response(error)
            if fault is not None and fault["status"] is not None:
                response = JSONResponse({"error": "ordered by a test"}, fault["status"], fault["headers"])
            line = {"method": request.method, "path": request.url.path, "query": request.url.query}
            self.log.write(json.dumps(line | {"status": response.status_code}) + "\n")
            return response

        return serve

    def routes(self) -> list[Route]:
        api = "/api/{kind}/{namespace}/{name}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/api/whoami-v2", self.whoami),
            ("POST", "/api/repos/create", self.create_or_delete_repo),
            ("DELETE", "/api/repos/delete", self.create_or_delete_repo),
            ("POST", "/api/validate-yaml", self.validate_yaml),
            ("GET", api, self.info),
            ("GET", f"{api}/revision/{{rev}}", self.info),
            ("GET", f"{api}/tree/{{rev}}", self.tree),
            ("GET", f"{api}/tree/{{rev}}/{{path:path}}", self.tree),
            ("POST", f"{api}/paths-info/{{rev}}", self.paths_info),
            ("GET", f"{api}/refs", self.refs),
            ("GET", f"{api}/commits/{{rev}}", self.commits),
            ("GET", f"{api}/auth-check", self.auth_check),
            ("PUT", f"{api}/settings", self.settings),
            ("POST", f"{api}/preupload/{{rev}}", self.preupload),
            ("POST", f"{api}/commit/{{rev}}", self.commit),
            *((method, f"{api}/branch/{{rev}}", self.branch) for method in ("POST", "DELETE")),
            *((method, f"{api}/tag/{{rev}}", self.tag) for method in ("POST", "DELETE")),
            ("PUT", "/_lfs/{oid}", self.lfs_put),
            ("POST", "/_lfs/verify", self.lfs_verify),
            *((method, "/_test/faults", self.order_fault) for method in ("GET", "POST", "DELETE")),
        ]
        for prefix in ("", "/{kind}"):
            table.append(("GET", f"{prefix}/{{namespace}}/{{name}}/resolve/{{rev}}/{{path:path}}", self.resolve))
            table.append(("POST", f"{prefix}/{{namespace}}/{{name}}.git/info/lfs/objects/batch", self.lfs_batch))
        routes = [Route(path, self.endpoint(handler), methods=[method]) for method, path, handler in table]
        every_method = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return [*routes, Route("/{rest:path}", self.endpoint(self.unknown), methods=every_method)]

    def app(self) -> ASGIApp:
        starlette = Starlette(routes=self.routes())

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":  # route on the quoted path: a revision may hold a quoted slash
                scope["path"] = scope["raw_path"].decode()
            await starlette(scope, receive, send)

        return app


def error_response(error: HubError) -> Response:
    headers = {"X-Error-Message": error.message} | ({"X-Error-Code": error.code} if error.code else {})
    return JSONResponse({"error": error.message}, error.status, headers)


def main() -> None:
    parser = argparse.ArgumentParser(description="A small Hub-compatible server for tests.")
    parser.add_argument("--root", type=Path, required=True, help="folder for file contents and requests.log")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    args = parser.parse_args()
    app = MiniHub(args.root).app()
    with socket.create_server(("127.0.0.1", args.port)) as server_socket:
        port = server_socket.getsockname()[1]
        print(f"minihub ready at http://127.0.0.1:{port}", flush=True)  # noqa: T201 - the caller waits for it
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        server.run(sockets=[server_socket])


if __name__ == "__main__":
    main()
