"""Has the kernel give a new connection to the worker that has the session of its address, so that few are handed over.

The listening sockets of the workers are a group (`SO_REUSEPORT`), and a classic BPF program chooses among them:
`SO_ATTACH_REUSEPORT_CBPF` in socket(7), the instructions in the kernel's documentation of networking filters. It comes
to the same number as `owner_of`. What a chat's header or a key decides it cannot know: that is handed over as before.
Where many speak through one address, that of a trusted proxy, it leaves the choice to the kernel, which spreads them.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple
from zlib import crc32

# `SO_ATTACH_REUSEPORT_CBPF` of <asm-generic/socket.h>, which Python does not name.
_ATTACH = 51
# Of <linux/filter.h>: operations, and where offsets from the beginning of the IP header start.
_LOAD_BYTE, _LOAD_WORD, _JUMP, _JUMP_EQUAL, _RETURN, _RETURN_A = 0x30, 0x20, 0x05, 0x15, 0x06, 0x16
_AND, _MULTIPLY, _SHIFT_RIGHT, _MODULO, _XOR_X, _A_TO_X = 0x54, 0x24, 0x74, 0x94, 0xAC, 0x07
_IP_HEADER = 0xFFF00000
# Where an IP header has the address it is from, and how many words of 32 bits that takes.
_SOURCES = {4: (12, 1), 6: (8, 4)}
# No socket of the group has this number: the kernel chooses as it would without the program.
_ANY = 0xFFFFFFFF
# Spreads neighbouring addresses evenly (2**32 divided by the golden ratio); the upper half of the product is used.
_FACTOR, _UPPER = 0x9E3779B1, 16

Network = IPv4Network | IPv6Network


class Instruction(NamedTuple):
    """One `struct sock_filter`: jumps count the instructions to leave out."""

    code: int
    if_true: int
    if_false: int
    value: int


def owner_of(session_id: str, workers: int) -> int:
    """The worker, counted from 0, that has the session: always the same one of that many."""
    mixed = _mixed(session_id.removeprefix("llama-"))
    return (crc32(session_id.encode("utf-8", "surrogatepass")) if mixed is None else mixed) % workers


def steer(listener: socket.socket, workers: int, proxies: Iterable[str]) -> None:
    """Attaches the program to the group of a listening socket. Raises `OSError` where the kernel does not take it."""
    instructions = program(workers, map(ip_network, proxies))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in instructions))
    listener.setsockopt(
        socket.SOL_SOCKET, _ATTACH, struct.pack("HP", len(instructions), ctypes.addressof(code))
    )


def program(workers: int, proxies: Iterable[Network]) -> list[Instruction]:
    """Returns the number of a socket, counted in the order in which they began to listen."""
    proxies = list(proxies)
    four, six = (list(_chosen(version, workers, proxies)) for version in _SOURCES)
    version = [_do(_LOAD_BYTE, _IP_HEADER), _do(_SHIFT_RIGHT, 4), Instruction(_JUMP_EQUAL, 0, 1, 6)]
    return [*version, _do(_JUMP, len(four)), *four, *six]


def _chosen(version: int, workers: int, proxies: Iterable[Network]) -> Iterator[Instruction]:
    """The part for packets of one version of IP."""
    start, words = _SOURCES[version]
    places = [_IP_HEADER + start + 4 * word for word in range(words)]
    for network in proxies:
        if network.version == version:
            yield from _unless_in(network, places)
    yield _do(_LOAD_WORD, places[0])
    for place in places[1:]:
        yield from (_do(_A_TO_X), _do(_LOAD_WORD, place), _do(_XOR_X))
    yield from (_do(_MULTIPLY, _FACTOR), _do(_SHIFT_RIGHT, _UPPER), _do(_MODULO, workers), _do(_RETURN_A))


def _unless_in(network: Network, places: list[int]) -> Iterator[Instruction]:
    """Leaves the choice to the kernel for addresses of the network."""
    masks, wanted = _words(network.netmask.packed), _words(network.network_address.packed)
    for at, (place, mask, word) in enumerate(zip(places, masks, wanted, strict=True), start=1):
        yield from (_do(_LOAD_WORD, place), _do(_AND, mask))
        yield Instruction(_JUMP_EQUAL, 0, 3 * (len(places) - at) + 1, word)
    yield _do(_RETURN, _ANY)


def _mixed(address: str) -> int | None:
    """What the program makes of an address; None for anything else."""
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return None
    folded = 0
    for word in _words(packed):
        folded ^= word
    return (folded * _FACTOR & 0xFFFFFFFF) >> _UPPER


def _words(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(packed) // 4}I", packed)


def _do(code: int, value: int = 0) -> Instruction:
    return Instruction(code, 0, 0, value)
