"""Tells people elsewhere (an ntfy topic, a webhook) that a message of theirs was answered, or needs their leave."""

from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from ..seams.interfaces import INotifier

# Seconds before each further try.
PAUSES = (2.0, 10.0, 60.0)
TIMEOUT = 10.0
# Notifications under way; further ones are left out.
MOST = 16


class _Unread(Protocol):
    """Hangs up instead of reading: nobody wants to know what was answered, however long it is."""

    def connectionMade(self) -> None:
        """What has come to its end already has no connection any more."""
        if self.transport is not None:
            self.transport.loseConnection()


@implementer(INotifier)
class Notifier:
    """Sends them with `post`, which is treq's, to `hosts` only, without anything of an answer.

    `link` is what a tap on the notification opens, "" for nothing.
    """

    log = Logger()

    def __init__(
        self, post: Callable[..., Deferred[Any]], hosts: Collection[str], link: str, clock: IReactorTime
    ) -> None:
        self._post = post
        self._clock = clock
        self._under_way: set[Deferred[None]] = set()
        self.renew(hosts, link)

    def renew(self, hosts: Collection[str], link: str) -> None:
        """Goes by these from the next notification on."""
        self._hosts = frozenset(host.lower() for host in hosts)
        self._link = link
        if hosts:
            # Takes a while, for which the first message that is answered need not wait.
            import_module("treq")

    def notify(self, address: str, words: str, asks: bool) -> None:
        """See `INotifier`."""
        if not address:
            return
        host = urlsplit(address).hostname or ""
        if host not in self._hosts:
            self.log.warn("{host} is not told anything: it is none of notify_hosts", host=host)
        elif len(self._under_way) < MOST:
            sending = Deferred.fromCoroutine(self._send(address, host, words, asks))
            self._under_way.add(sending)
            sending.addBoth(lambda _: self._under_way.discard(sending))

    def stop(self) -> None:
        """Gives up what is under way."""
        for sending in list(self._under_way):
            sending.cancel()

    async def _send(self, address: str, host: str, words: str, asks: bool) -> None:
        text = f'"{words}" needs your leave.' if asks else f'"{words}" was answered.'
        headers = {"Title": "llamaproxy", "Content-Type": "text/plain; charset=utf-8"}
        if self._link:
            headers["Click"] = self._link
        for pause in (0.0, *PAUSES):
            if pause:
                await deferLater(self._clock, pause)
            try:
                response = await self._post(
                    address, data=text.encode(), headers=headers, timeout=TIMEOUT, allow_redirects=False
                )
            except Exception as error:
                problem = type(error).__name__
                continue
            response.deliverBody(_Unread())
            if response.code < 300:
                return
            problem = f"HTTP {response.code}"
            if response.code < 500 and response.code != 429:
                # A redirect as well: it may lead to a host that nobody named.
                break
        self.log.warn("{host} could not be notified: {problem}", host=host, problem=problem)
