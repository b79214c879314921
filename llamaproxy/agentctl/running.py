"""The server of this home that runs, asked as its operator."""

import re
from typing import Any

from msgspec import DecodeError, json

from ..config import FrontDoor, Home, load_settings, operator_key
from ..config.home import said_for
from ..config.occupancy import holder_of, is_vacant
from .command import Refused

_ENDPOINT = re.compile(r"(tcp6?|ssl):(?:port=)?(\d+)")
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def address_here(home: Home) -> str:
    """The URL of the server that runs, or else of one that would. Raises `Refused`."""
    holder = holder_of(home.lock_file)
    if holder is not None and holder.address:
        return holder.address
    return address_of(load_settings(home).front_door)


def ask(home: Home, method: str, path: str, body: Any = None) -> Any:
    """What the running server answers to its operator. Raises `Refused`, also where none runs.

    Whoever else has its port then is not shown the operator's key.
    """
    if is_vacant(home.lock_file):
        raise Refused(f"no server runs in {home.path}; {said_for(home, 'run', 'llamaproxy')} starts one")
    from ..doctor.decoders import Fault
    from ..doctor.visit import server_at

    server = server_at(address_here(home))
    headers = {"Authorization": f"Bearer {operator_key(home.operator_key_file)}"}
    sent = None if body is None else json.encode(body)
    try:
        answer = server.ask(method, f"/console/{path}", headers, sent)
    except Fault as fault:
        raise Refused(f"no server answers at {server}: {fault}") from None
    try:
        read = json.decode(answer.body)
    except DecodeError:
        raise Refused(f"what answers at {server} is no llamaproxy with a console") from None
    if answer.status != 200:
        raise Refused(
            f"{server} says: {read.get('error', answer.status) if isinstance(read, dict) else read}"
        )
    return read


def address_of(door: FrontDoor) -> str:
    """The URL under which this machine reaches the server."""
    host, port, scheme = door.llama_host, door.llama_port, "http"
    if door.listen:
        found = _ENDPOINT.match(door.listen)
        if found is None:
            raise Refused(f"the server listens on {door.listen}; say its URL: agentctl doctor URL")
        scheme, port = "https" if found[1] == "ssl" else "http", int(found[2])
        host = "::" if found[1] == "tcp6" else ""
    host = _EVERYWHERE.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
