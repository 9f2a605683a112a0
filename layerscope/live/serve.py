"""A read-only server of one run: its page, which says when there is something new, and the files of the run folder."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.errors import LayerscopeError, MissingDependencyError, StoreError, WriteError
from layerscope.runs.inside import inside

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from layerscope.runs.watch import Seen

__all__ = ["Served", "application", "serve"]

HERE = "127.0.0.1"
START_S = 30.0
_OWN = "; ".join(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "frame"))
POLICY = f"default-src 'none'; {_OWN}; img-src data:; base-uri 'none'"
KINDS = {".html": "text/html", ".json": "application/json", ".csv": "text/csv", ".svg": "image/svg+xml"}
KINDS |= {".png": "image/png", ".pdf": "application/pdf"}
PAGES = {
    "": ("live.html", "text/html"),
    "live.js": ("live.js", "text/javascript"),
    "live.css": ("live.css", "text/css"),
}


@dataclass(frozen=True)
class Served:
    """Where the page is.

    Attributes
    ----------
    address : str
        With the token, if one is needed.
    port : int
    """

    address: str
    port: int


def application(run: Path, seen: Callable[[], Seen], stop: threading.Event, token: str = "") -> Any:
    """Return the ASGI application.

    Parameters
    ----------
    run : Path
        The run folder; nothing else is served.
    seen : callable
        What the watch saw last.
    stop : threading.Event
        Ends the streams of events.
    token : str, optional
        What every request must bring, as a parameter once or as a cookie.
    """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    def answer(content: str | bytes, kind: str, policy: str = POLICY) -> Response:
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return Response(content, media_type=kind, headers={**headers, "Referrer-Policy": "no-referrer"})

    def allowed(request: Request) -> bool:
        given = request.query_params.get("token") or request.cookies.get("layerscope", "")
        return not token or secrets.compare_digest(given.encode(), token.encode())

    def guarded(make: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            """Answer those who may see the page."""
            if not allowed(request):
                return PlainTextResponse("the token that was printed is needed", status_code=403)
            response = make(request)
            if token:
                response.set_cookie("layerscope", token, httponly=True, samesite="strict")
            return response

        return endpoint

    def file(request: Request) -> Response:
        name = request.path_params["path"]
        try:
            path = inside(run, name)
            if path.name.startswith(".") or path.suffix not in KINDS:
                raise StoreError("is not shown", source=path)
            return answer(path.read_bytes(), KINDS[path.suffix], "frame-ancestors 'self'")
        except (LayerscopeError, OSError):
            return PlainTextResponse("there is no such file in the run", status_code=404)

    async def stream() -> AsyncIterator[str]:
        """Tell the page what is new."""
        last = ""
        while not stop.is_set():
            text = json.dumps({**asdict(seen()), "report": (run / "report.html").is_file()})
            yield f"data: {text}\n\n" if text != last else ": alive\n\n"
            last = text
            await asyncio.sleep(0.3)

    def page(name: str, kind: str) -> Callable[[Request], Response]:
        text = files("layerscope.live").joinpath(name).read_text("utf-8")
        return lambda _: answer(text, kind)

    routes = [Route(f"/{path}", guarded(page(*what))) for path, what in PAGES.items()]
    routes.append(Route("/events", guarded(lambda _: StreamingResponse(stream(), media_type="text/event-stream"))))
    routes.append(Route("/run/{path:path}", guarded(file)))
    return Starlette(routes=routes)


@contextmanager
def serve(run: Path, seen: Callable[[], Seen], *, port: int = 0, host: str = HERE) -> Iterator[Served]:
    """Serve a run in a thread for as long as the context lasts.

    Parameters
    ----------
    run, seen
        As of `application`.
    port : int, optional
        Any free one if 0.
    host : str, optional
        Another address than this machine's own asks for a token.

    Raises
    ------
    MissingDependencyError
        If starlette or uvicorn is not installed.
    WriteError
        If the port is taken.
    """
    try:
        import uvicorn
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        hint = "pip install 'layerscope[live]'"
        raise MissingDependencyError("starlette and uvicorn are not installed", hint=hint) from error
    stop = threading.Event()
    token = "" if host in (HERE, "localhost") else secrets.token_urlsafe(16)
    app = application(run, seen, stop, token)
    if not token:  # a page from elsewhere that calls itself by another name is no reader
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HERE, "localhost"])
    config = uvicorn.Config(app, host=host, port=port, log_level="error", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    try:
        socket = config.bind_socket()
    except SystemExit as error:
        raise WriteError(f"the port {port} cannot be used", source=host, hint="name another one") from error
    found = int(socket.getsockname()[1])
    thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield Served(f"http://{host}:{found}/" + (f"?token={token}" if token else ""), found)
    finally:
        stop.set()
        server.should_exit = True
        thread.join(timeout=5)
