"""The processes of a run: the upstream, the server under test and its peers, each on a free loopback port.

All are context managers that start in a folder of their own and end with their process gone.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from .machine import cpu_seconds

# What a server gets to listen; LiteLLM takes several seconds.
START_LIMIT = 40.0
Peer = Callable[[int, str], "Server"]


class Server:
    """A running process; `path` is its chat endpoint, `model` what a request names.

    `started_in` are the seconds from its command line to listening, `most_streams` what it can hold at all.
    """

    def __init__(self, name: str, port: int, pid: int, path: str, model: str, folder: Path) -> None:
        self.name, self.port, self.pid = name, port, pid
        self.path, self.model, self.folder = path, model, folder
        self.started_in = 0.0
        self.most_streams = 10_000

    def request(self, text: str = "go", model: str = "") -> bytes:
        """One chat turn, to be streamed."""
        message = {"role": "user", "content": text}
        return post(self.path, {"model": model or self.model, "messages": [message], "stream": True})

    def cpu(self) -> float:
        """Processor time so far, in seconds."""
        return cpu_seconds(self.pid)


def post(path: str, body: Mapping[str, Any]) -> bytes:
    """A POST request with a JSON body."""
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


@contextmanager
def upstream() -> Iterator[Server]:
    """The model server; see `benchmarks.upstream` for what a model's name says."""
    with _folder() as folder, _process([sys.executable, "-m", "benchmarks.upstream"], folder) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Server("upstream alone", port, process.pid, "/v1/chat/completions", "20x0", folder)


@contextmanager
def llamaproxy(
    upstream_port: int,
    models: Sequence[str],
    prepare: Callable[[Path], None] = lambda home: None,
    *flags: str,
    program: Sequence[str] | None = None,
) -> Iterator[Server]:
    """The real server with a home of its own; `models` are names of the upstream's, the first is the default.

    `prepare` may add to the home; `flags` are more options of `twistd llamaproxy`; `program` is called instead of
    `twistd`.
    """
    with _folder() as home:
        write_home(home, upstream_port, models)
        prepare(home)
        port = free_port()
        options = ["-n", "--pidfile=", "--logfile=twistd.log", "llamaproxy", "--home", str(home)]
        command = [*(program or [twistd()]), *options]
        with _process([*command, "--host", "127.0.0.1", "--port", str(port), *flags], home) as process:
            yield _listening(Server("llamaproxy", port, process.pid, "/api/chat", "bench", home), process)


def write_home(home: Path, upstream_port: int, models: Sequence[str]) -> None:
    """Configuration without limits that would get in the way of a thousand clients of one machine."""
    entry = {"type": "OPENAI", "host": f"http://127.0.0.1:{upstream_port}/v1", "max_context": 20}
    registry = {model: {**entry, "model_id": model} for model in models}
    (home / "llm-models.json").write_text(json.dumps({"default_model": models[0], "models": registry}))
    door = {"enabled": True}
    plugins = {"enabled_plugins": ["plugin_proxy_llama"], "plugin_config": {"plugin_proxy_llama": door}}
    (home / "plugins-enabled.json").write_text(json.dumps({**plugins, "max_users": 0}))


def twistd() -> str:
    """The program beside this Python."""
    return str(Path(sys.executable).with_name("twistd"))


@contextmanager
def nginx(upstream_port: int, model: str) -> Iterator[Server]:
    """The floor: one nginx process that passes the bytes through."""
    with _folder() as folder:
        port = free_port()
        (folder / "nginx.conf").write_text(f"""
            daemon off; master_process off; pid nginx.pid; error_log error.log; worker_rlimit_nofile 20000;
            events {{ worker_connections 9000; }}
            http {{
                access_log off; client_body_temp_path body; proxy_temp_path proxy;
                fastcgi_temp_path a; uwsgi_temp_path b; scgi_temp_path c;
                upstream model {{ server 127.0.0.1:{upstream_port}; keepalive 1000; }}
                server {{
                    listen 127.0.0.1:{port} backlog=4096;
                    location / {{
                        proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_buffering off; keepalive_requests 1000000;
                    }}
                }}
            }}""")
        command = [_nginx_program(), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log"]
        with _process(command, folder) as process:
            yield _listening(
                Server("nginx, bytes through", port, process.pid, "/v1/chat/completions", model, folder),
                process,
            )


@contextmanager
def go_proxy(upstream_port: int, model: str, cores: int = 0) -> Iterator[Server]:
    """A reverse proxy of Go's own library; see `benchmarks/relay.go`. With `cores` it runs on so many, else on all."""
    with _folder() as folder:
        port, program = free_port(), folder / "relay"
        source = Path(__file__).with_name("relay.go")
        subprocess.run([_go_program(), "build", "-o", str(program), str(source)], cwd=folder, check=True)
        command = [str(program), f"127.0.0.1:{port}", f"http://127.0.0.1:{upstream_port}"]
        name = f"Go, bytes through, {cores} core" if cores else "Go, bytes through"
        with _process(command, folder, {"GOMAXPROCS": str(cores)} if cores else None) as process:
            yield _listening(Server(name, port, process.pid, "/v1/chat/completions", model, folder), process)


@contextmanager
def llama_swap(upstream_port: int, model: str) -> Iterator[Server]:
    """llama-swap, a Go server for the same dialect, which looks at the model's name and passes the rest through."""
    with _folder() as folder:
        port = free_port()
        peer = {"proxy": f"http://127.0.0.1:{upstream_port}", "models": [model]}
        (folder / "config.yaml").write_text(json.dumps({"peers": {"bench": peer}, "models": {}}))
        command = [_llama_swap_program(), "-config", "config.yaml", "-listen", f"127.0.0.1:{port}"]
        with _process(command, folder) as process:
            yield _listening(
                Server("llama-swap", port, process.pid, "/v1/chat/completions", model, folder), process
            )


@contextmanager
def relay(upstream_port: int, model: str) -> Iterator[Server]:
    """The usual way: Starlette, uvicorn and httpx; see `benchmarks.relay`."""
    with _folder() as folder:
        port = free_port()
        environ = {"UPSTREAM": f"http://127.0.0.1:{upstream_port}/v1", "MODEL": model}
        command = [sys.executable, "-m", "uvicorn", "benchmarks.relay:app", "--port", str(port)]
        quiet = ["--no-access-log", "--backlog", "4096"]
        with _process([*command, *quiet], folder, environ) as process:
            yield _listening(
                Server("Starlette, uvicorn, httpx", port, process.pid, "/api/chat", model, folder), process
            )


@contextmanager
def litellm(upstream_port: int, model: str) -> Iterator[Server]:
    """LiteLLM's proxy with one model."""
    with _folder() as folder:
        port = free_port()
        host = f"http://127.0.0.1:{upstream_port}/v1"
        params = {"model": f"openai/{model}", "api_base": host, "api_key": "none"}
        entry = {"model_name": model, "litellm_params": params}
        # It wants a key, looks prices up in the network, and ends a stream that repeats itself, unless told otherwise.
        general = {"dangerously_permit_weak_or_unset_master_key": True}
        environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "REPEATED_STREAMING_CHUNK_LIMIT": str(10**9)}
        (folder / "config.yaml").write_text(json.dumps({"model_list": [entry], "general_settings": general}))
        command = [_litellm_program(), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        with _process(command, folder, environ) as process:
            server = Server("LiteLLM proxy", port, process.pid, "/v1/chat/completions", model, folder)
            server.most_streams = 50
            yield _listening(server, process)


def available_peers() -> tuple[list[Callable[[int, str], Any]], list[str]]:
    """The peers that are installed, in the tables' order, and a line about each that is not."""
    found: list[Callable[[int, str], Any]] = []
    missing = []
    if _nginx_program():
        found.append(nginx)
    else:
        missing.append("nginx is left out: not installed (Debian: apt-get install nginx-light)")
    if _go_program():
        found.append(go_proxy)
    else:
        missing.append("Go is left out: not installed (Debian: apt-get install golang-go)")
    if _llama_swap_program():
        found.append(llama_swap)
    else:
        missing.append(
            "llama-swap is left out: not on the path (go install github.com/mostlygeek/llama-swap@latest)"
        )
    if all(map(find_spec, ("starlette", "uvicorn", "httpx"))):
        found.append(relay)
    else:
        missing.append("Starlette is left out: not installed (pip install -e '.[bench]')")
    if _litellm_program():
        found.append(litellm)
    else:
        missing.append("LiteLLM is left out: not installed (pip install 'litellm[proxy]')")
    return found, missing


def _nginx_program() -> str:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or ""


def _go_program() -> str:
    return shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin") or ""


def _llama_swap_program() -> str:
    return shutil.which("llama-swap", path=f"{os.environ['PATH']}:{Path.home()}/go/bin") or ""


def _litellm_program() -> str:
    """Beside this Python, or anywhere on the path: it pins so much that it often has a place of its own."""
    beside = Path(sys.executable).with_name("litellm")
    return str(beside) if beside.exists() else shutil.which("litellm") or ""


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="llamaproxy-bench-") as folder:
        yield Path(folder)


@contextmanager
def _process(
    command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    root = str(Path(__file__).parents[1])
    with (
        open(folder / "stderr.log", "w") as stderr,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": root, **(environ or {})},
            stdout=subprocess.PIPE if "benchmarks.upstream" in command else stderr,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """A loopback port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _listening(server: Server, process: subprocess.Popen[str]) -> Server:
    """Returns once it listens, with the seconds that took."""
    begin = monotonic()
    until = begin + START_LIMIT
    while not _listens(server.port):
        if process.poll() is not None or monotonic() > until:
            logs = "".join(log.read_text()[-3000:] for log in server.folder.glob("*.log"))
            raise SystemExit(f"{process.args!r} did not start:\n{logs}")
        sleep(0.002)
    server.started_in = monotonic() - begin
    return server


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        # Among the ports that the kernel gives out, a probe may meet itself.
        return probe.connect_ex(("127.0.0.1", port)) == 0 and probe.getsockname() != probe.getpeername()
