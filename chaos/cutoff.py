"""A node that a firewall cuts off from the database, while its clients still reach it.

`python -m chaos.cutoff` goes into a network of its own, in which nobody else is, starts a PostgreSQL and two nodes
there, and drops what one of them and the database send each other: no refusal and no reset, only silence. It prints
what was seen, and ends with status 1 if something was not as it has to be, with 77 and a sentence where it may not.
"""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import treq
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread
from twisted.web.http_headers import Headers

from llamaproxy.store.postgres.database import Reader
from tests.tools.sql.servers import Postgres

from .fleet import Fleet, Node

reactor: Any = installed_reactor

CANNOT = 77
INSIDE = "--inside"
# The database, as the node that is cut off sees it, and as the other one does.
CUT, WHOLE = "127.0.0.2", "127.0.0.1"
# Seconds: how slowly the model speaks, how long the node is cut off, and how soon things have to happen.
SLOWLY = 1.2
CUT_FOR, WORDS, TAKEN_OVER, BACK = 13.0, 8.0, 15.0, 15.0

RULES = f"""
    add table ip cut
    add chain ip cut input {{ type filter hook input priority 0; }}
    add rule ip cut input ip daddr {CUT} tcp dport 5432 drop
    add rule ip cut input ip saddr {CUT} tcp sport 5432 drop
"""


def alone() -> list[str]:
    """What to put before a command, so that it runs in a network of its own, of which it may make the rules."""
    if not os.getuid():
        return ["unshare", "--net"]
    return ["unshare", "--user", "--map-current-user", "--keep-caps", "--net"]


def why_not() -> str:
    """Why this cannot be done here; "" if it can."""
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2"), ("nft", "nftables")):
        if not _program(program):
            return f"{program} is not installed (Debian: apt-get install {package})"
    tried = subprocess.run([*alone(), _program("nft"), "list", "ruleset"], capture_output=True, check=False)
    return "a network of one's own is not allowed here" if tried.returncode else ""


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


class Wrong(Exception):
    """Something was not as it has to be."""


def require(so: object, what: str) -> None:
    """Raises `Wrong` unless it is so, and says it otherwise."""
    if not so:
        raise Wrong(what)
    print(f"so it is: {what}", flush=True)


class Cutoff:
    """One run."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._cut, self._whole = fleet.nodes

    async def run(self) -> None:
        """Raises `Wrong`."""
        for session in ("middle", "end"):
            require(
                _is_answer(await self._ask(self._cut, session, f"{session} t1")),
                f"{session}: it works at first",
            )
        self._fleet.model.pause = SLOWLY
        # One is in the middle when the node is cut off, and one has its last word soon after that.
        middle = self._ask(self._cut, "middle", "middle t2")
        end = self._ask(self._cut, "end", "end t2")
        while not {"middle t2", "end t2"} <= self._fleet.model.begun.keys():
            await deferLater(reactor, 0.05)
        await deferLater(reactor, SLOWLY)
        _nft(RULES)
        self._fleet.model.hurry("end")
        at = reactor.seconds()
        again = [self._ask(self._whole, each, f"{each} t2", tries=1) for each in ("middle", "end")]
        for name, reply in (("middle", middle), ("end", end)):
            body = await reply.addTimeout(WORDS, reactor)
            require(
                "cannot be reached" in body[1],
                f"{name}: the turn ends in words ({reactor.seconds() - at:.1f} s)",
            )
            require(not _is_answer(body), f"{name}: it does not end as if it were kept")
        self._fleet.model.pause = 0.02
        await self._while_cut()
        for name, reply in (("middle", again[0]), ("end", again[1])):
            body = await reply.addTimeout(TAKEN_OVER, reactor)
            require(_is_answer(body), f"{name}: the other node took it over ({reactor.seconds() - at:.1f} s)")
        await deferLater(reactor, max(0.0, CUT_FOR - (reactor.seconds() - at)))
        _nft("delete table ip cut")
        at = reactor.seconds()
        await self._fleet.ready(self._cut)
        require(
            reactor.seconds() - at < BACK, f"the node comes back by itself ({reactor.seconds() - at:.1f} s)"
        )
        for session in ("middle", "end"):
            require(
                _is_answer(await self._ask(self._cut, session, f"{session} t3")),
                f"{session}: it goes on there",
            )
            said = await deferToThread(self._history, session)
            asked = [f"{session} t{number}" for number in (1, 2, 3)]
            wanted = [text for each in asked for text in (each, f"{each} answered")]
            require(said == wanted, f"{session}: all was kept once, and nothing of what came late ({said})")
            seen = self._fleet.model.heard[f"{session} t3"]
            require(seen[-3:] == wanted[2:5], f"{session}: the node knows what the other one said meanwhile")
        require(
            not self._fleet.model.overlaps, "no two turns of a session were with the model at the same time"
        )

    async def _while_cut(self) -> None:
        response = await treq.get(f"{self._cut.url}/readyz", persistent=False)
        await treq.content(response)
        require(response.code == 503, "cut off, the node is not ready")
        status, body, headers = await self._asked(self._cut, "new", "new t1")
        require(
            status == 503 and headers.hasHeader("retry-after"),
            f"cut off, it refuses for a while ({body[:90]})",
        )
        require(
            (await self._ask(self._cut, "new", "!help"))[0] == 200, "cut off, commands that look still answer"
        )

    def _ask(self, node: Node, session: str, text: str, tries: int = 0) -> "Deferred[tuple[int, str, Any]]":
        return Deferred.fromCoroutine(self._asked(node, session, text, tries))

    async def _asked(self, node: Node, session: str, text: str, tries: int = 0) -> tuple[int, str, Any]:
        """Status, body, headers."""
        messages = [{"role": "user", "content": text}]
        response = await treq.post(
            f"{node.url}/v1/chat/completions",
            json.dumps({"model": "m", "messages": messages, "stream": True}).encode(),
            headers=Headers(
                {
                    "content-type": ["application/json"],
                    "x-llamaproxy-chat": [session],
                    "x-stainless-retry-count": [str(tries)],
                }
            ),
            persistent=False,
        )
        return response.code, await treq.text_content(response, "utf-8"), response.headers

    def _history(self, session: str) -> list[str]:
        reader = Reader(self._fleet.arguments())
        try:
            stored = reader.load(f"llama-127.0.0.1-{session}", 100)
            return [] if stored is None else [message.content for message in stored.messages]
        finally:
            reader.connection.close()


def _is_answer(reply: tuple[int, str, Any]) -> bool:
    status, body, _ = reply
    return status == 200 and body.rstrip().endswith("[DONE]") and "error" not in body


def _nft(rules: str) -> None:
    subprocess.run([_program("nft"), "-f", "-"], input=rules.encode(), check=True)


async def main(_: Any) -> None:
    """Runs, in the network of its own."""
    subprocess.run([_program("ip"), "link", "set", "lo", "up"], check=True)
    postgres = Postgres(listen=(CUT, WHOLE))
    fleet = Fleet(2, postgres, pause=0.02, stores=[postgres.tcp_url(CUT), postgres.tcp_url(WHOLE)])
    try:
        await fleet.start()
        await Cutoff(fleet).run()
    except (Wrong, DeferredTimeout) as wrong:
        print(f"wrong: {wrong}\n" + "\n".join(f"{node.name}:\n{node.log()[-4000:]}" for node in fleet.nodes))
        sys.exit(1)
    finally:
        await fleet.end()
        postgres.end()


if __name__ == "__main__":
    if INSIDE in sys.argv:
        react(main, ())
    if reason := why_not():
        print(reason)
        sys.exit(CANNOT)
    os.execvp("unshare", [*alone(), sys.executable, "-m", "chaos.cutoff", INSIDE])
