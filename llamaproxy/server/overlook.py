"""The server's own pages, put together: what is seen, what is changed, and who may come in."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from ..console.arrivals import Arrivals
from ..console.changes import Changes
from ..console.checkup import Checkup
from ..console.door import ConsoleDoor
from ..console.loglines import LogLines
from ..console.looker import Looker
from ..console.pages import OPEN, Pages
from ..console.pairing import Pairing
from ..console.places import base_address
from ..console.snapshot import Snapshot
from ..console.viewer import Viewer
from ..console.views import Views
from ..console.witness import Witness
from ..recorder.recorder import Recorder
from ..seams.elsewhere import IElsewhere
from ..seams.oversight import IFiles, IOversight, Reloaded
from ..web.site import FrontSite
from .service import Part


class Overlook(Struct, frozen=True, kw_only=True):
    """The pages; what answers the console of another process; what makes a link for a phone; what runs for them."""

    pages: Pages
    witness: Witness
    arrivals: Arrivals
    services: Sequence[IService]


class Worker(Struct, frozen=True, kw_only=True):
    """Which process of several this one is, counted from 0, and how it reaches the others."""

    number: int
    elsewhere: IElsewhere


def overlook(
    site: FrontSite,
    oversight: IOversight,
    recorder: Recorder,
    files: IFiles,
    reload: Callable[[], Deferred[Reloaded]],
    reactor: Any,
    worker: Worker | None,
) -> Overlook:
    """Makes them, and has the site give their files away; `reload` is for a process that is alone."""
    site.page_files = OPEN
    elsewhere = worker.elsewhere if worker is not None else None
    reload = elsewhere.reload if elsewhere is not None else reload
    lines, checkup = LogLines(reactor), Checkup()
    viewer = Viewer(site, oversight, recorder, reactor.seconds, worker.number if worker is not None else 0)
    snapshot = Snapshot(viewer, oversight, lines, checkup, elsewhere, files.written)
    witness = Witness(viewer, oversight, recorder, reactor)
    arrivals = Arrivals(Pairing(reactor.seconds), site.guard, files, reload, base_address)
    pages = Pages(
        site.guard,
        ConsoleDoor(reactor.seconds),
        Views(oversight, recorder, snapshot, lines, reactor, elsewhere),
        Changes(oversight, recorder, checkup, files, reload, elsewhere),
        arrivals,
        base_address,
    )
    # Of several processes, the one that started the others has their log.
    observing = Part(
        partial(globalLogPublisher.addObserver, lines), partial(globalLogPublisher.removeObserver, lines)
    )
    services = [Looker(viewer.look, reactor), Part(lambda: None, witness.stop)]
    return Overlook(
        pages=pages,
        witness=witness,
        arrivals=arrivals,
        services=services if worker is not None else [observing, *services],
    )
