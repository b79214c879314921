"""A server's program, spoken to over its standard input and output: one JSON message a line.

The library's own has no bound for a line, and takes what is no message for the end of the world.
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from ...config.tools import McpServer
from .stderr import Lines, Say, stderr_to

# Bytes of a message; the largest that are of any use are pictures.
LONGEST_MESSAGE = 16 * 1024 * 1024
# How long a program may take to end by itself, and then to end when it is told to.
PATIENCE_SECONDS = 2.0
POLL_SECONDS = 0.01
_OF_STDOUT = b"(on its standard output) "


class MessageTooLong(Exception):
    """The program writes a line without an end."""

    def __str__(self) -> str:
        return f"it wrote a message of more than {LONGEST_MESSAGE} bytes"


@asynccontextmanager
async def program(
    server: McpServer, environ: dict[str, str], said: Say
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[Any], MemoryObjectSendStream[Any]], None]:
    """Runs it; gives the streams of its messages. `said` hears what it says besides.

    The first of them ends with the program's output, or fails with `MessageTooLong`.
    """
    async with stderr_to(said) as errors:
        process = await asyncio.create_subprocess_exec(
            server.command,
            *server.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**get_default_environment(), **environ},
            cwd=server.cwd,
            start_new_session=True,
            limit=LONGEST_MESSAGE,
        )
        errors.close()
        from_program, received = anyio.create_memory_object_stream[Any](0)
        to_send, for_program = anyio.create_memory_object_stream[Any](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process, from_program, said)
            tasks.start_soon(_write, process, for_program)
            try:
                yield received, to_send
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process)
                tasks.cancel_scope.cancel()


async def _read(process: asyncio.subprocess.Process, out: MemoryObjectSendStream[Any], said: Say) -> None:
    assert process.stdout is not None
    noise = Lines(said, asyncio.get_running_loop().time)
    async with out:
        while True:
            try:
                line = await process.stdout.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                raise MessageTooLong from None
            try:
                message = jsonrpc_message_adapter.validate_json(
                    line.decode("utf-8", "replace"), by_name=False
                )
            except ValueError:
                noise.data_received(_OF_STDOUT + line if line.strip() else line)
            else:
                try:
                    await out.send(SessionMessage(message))
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):  # nobody listens any more
                    return


async def _write(process: asyncio.subprocess.Process, messages: MemoryObjectReceiveStream[Any]) -> None:
    assert process.stdin is not None
    async with messages:
        async for each in messages:
            text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            with suppress(ConnectionError):  # its end is noticed where it is read
                await process.stdin.drain()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Closes its input, and asks more firmly if that does not end it."""
    assert process.stdin is not None
    process.stdin.close()
    for wish in (signal.SIGTERM, signal.SIGKILL, None):
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                # Not `wait`, which waits for all that have inherited its pipes as well.
                while process.returncode is None:
                    await asyncio.sleep(POLL_SECONDS)
                break
        if wish is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, wish)
    # Such an heir may hold them open.
    if (transport := getattr(process, "_transport", None)) is not None:
        transport.close()
