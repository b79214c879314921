"""Where the sessions are, by the configuration: in a file of the home, or in a database that several nodes share."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from twisted.application.service import IService
from twisted.internet.defer import Deferred

from ..config import FrontDoor, Home
from ..config.links import destination
from ..seams.errors import StoreError
from ..seams.interfaces import IPeers, ISessionStore
from ..store.postgres.address import connect_arguments, shown
from ..store.sqlite import SqliteSessionStore
from .service import Part


class Storage(Struct, frozen=True, kw_only=True):
    """The store, what the process has to know of the others, and what is started for them."""

    store: ISessionStore
    peers: IPeers | None
    services: tuple[IService, ...]


def storage(
    home: Home, door: FrontDoor, environ: Mapping[str, str], peers: IPeers | None, reactor: Any
) -> Storage:
    """The store, tried once; `peers` are a worker's. Raises `StoreError`, or `ConfigError` where the file is a
    link that may be planted, in one line for the operator.

    With a shared store each worker is a node by itself, and has all nodes for its peers.
    """
    if door.store:
        return _shared(door, environ, reactor)
    destination(home.sessions_db)
    store = SqliteSessionStore(home.sessions_db, reactor, power=door.durability == "power")
    store.check()
    return Storage(store=store, peers=peers, services=(Part(store.open, store.close),))


def _shared(door: FrontDoor, environ: Mapping[str, str], reactor: Any) -> Storage:
    try:
        from ..store.postgres.nodes import Nodes
        from ..store.postgres.store import PostgresSessionStore
    except ImportError as error:
        raise StoreError(
            f"sessions in PostgreSQL need psycopg ({error}); run: pip install 'llamaproxy[postgres]'"
        ) from None
    arguments = connect_arguments(door.store, door.store_password_env, environ.get)
    name = f"{socket.gethostname()}, process {os.getpid()}"
    store = PostgresSessionStore(arguments, shown(door.store), reactor, name)
    store.check()
    nodes = Nodes(store, reactor)
    services = (
        Part(store.open, store.close),
        Part(lambda: Deferred.fromCoroutine(nodes.start()), nodes.stop),
    )
    return Storage(store=store, peers=nodes, services=services)
