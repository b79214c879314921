"""Half of the crowd stops reading in the middle of endless replies: what that costs the server and the others."""

from .clients import Crowd
from .machine import memory, socket_memory
from .servers import llamaproxy, upstream
from .table import milliseconds, percentile, table

STREAMS = 500
RATE = 20
STALL = 30.0
STEP = 5.0
SETTLE = 3.0
# What a stalled client's own kernel keeps: a phone's, not the megabytes of a server.
RECEIVE_BUFFER = 64 * 1024
PACED, FLAT = f"{RATE}x0", "0x0"


def run() -> str:
    rows = []
    with upstream() as source, llamaproxy(source.port, [PACED, FLAT]) as server, Crowd() as crowd:
        for wave in range(0, STREAMS, 100):
            crowd.connect(server.port, [server.request()] * 100, wave)
            crowd.run(5.0, until=lambda: all(client.tokens for client in crowd.clients))
        crowd.run(SETTLE)
        before, kernel = memory(server.pid), socket_memory(server.port, source.port)

        def note(what: str, seconds: float) -> None:
            crowd.delays.clear()
            crowd.run(seconds, crowd.note_delays)
            crowd.delays.sort()
            rows.append(
                [
                    what,
                    milliseconds(percentile(crowd.delays, 0.5)),
                    milliseconds(percentile(crowd.delays, 0.99)),
                    f"{(memory(server.pid) - before) / STREAMS / 1024:.1f} KiB",
                    f"{(socket_memory(server.port, source.port) - kernel) / STREAMS / 1024:.1f} KiB",
                ]
            )

        note(f"{STREAMS} paced streams", STEP)
        # These ask for an endless reply at full speed, read its beginning and then no more.
        for wave in range(0, STREAMS, 20):
            requests = [server.request(f"@{FLAT} go")] * 20
            stalled = crowd.connect(server.port, requests, STREAMS + wave, RECEIVE_BUFFER)
            crowd.run(10.0, until=lambda: all(client.tokens for client in crowd.clients))
            crowd.hold(stalled)
        # Until the last of them have filled their buffers, at full speed.
        crowd.run(SETTLE)
        for step in range(int(STALL / STEP)):
            note(f"+ {STREAMS} stalled for {(step + 1) * STEP:.0f} s", STEP)
    columns = ["", "p50", "p99", "process/stalled", "kernel/stalled"]
    explanation = (
        "Memory is what was added since the stalled clients came, for each of them: the process's, which has the turn "
        "and the text so far in it, and the kernel's for both of the server's ends of the stream."
    )
    return "\n".join([table(columns, rows), "", explanation])
