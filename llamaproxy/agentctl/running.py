"""The server of this home that runs, asked as its operator."""

from typing import Any

from msgspec import DecodeError, json

from ..config import Home, load_settings, operator_key
from ..config.occupancy import holder_of
from .command import Refused
from .doctor import address_of


def address_here(home: Home) -> str:
    """The URL of the server that runs, or else of one that would. Raises `Refused`."""
    holder = holder_of(home.lock_file)
    if holder is not None and holder.address:
        return holder.address
    return address_of(load_settings(home).front_door)


def ask(home: Home, method: str, path: str, body: Any = None) -> Any:
    """What the running server answers to its operator. Raises `Refused`."""
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
