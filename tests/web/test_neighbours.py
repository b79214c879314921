"""Who has a port: told from the kernel's tables as they are, and as they may be."""

import os
import pwd
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.web.door import port_problem
from llamaproxy.web.neighbours import PROC, Neighbour, free_port_after, neighbour_at

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr uid timeout inode\n"
ROW = "0: {address}:{port:04X} 00000000:0000 {state} 0:0 00:0 0 {uid} 0 {inode} 1 0 100\n"
EVERYWHERE, LOOPBACK = "00000000", "0100007F"
LOOPBACK_6, MAPPED = "0" * 24 + "01000000", "0" * 16 + "FFFF0000" + LOOPBACK


class TableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.proc = Path(self.mktemp())
        (self.proc / "net").mkdir(parents=True)

    def listen(self, address: str = EVERYWHERE, table: str = "tcp", state: str = "0A", uid: int = 0) -> None:
        row = ROW.format(address=address, port=8434, state=state, uid=uid, inode=77)
        (self.proc / "net" / table).write_text(HEAD + row)

    def run_program(self, pid: int, command: str, inode: int = 77) -> None:
        fd = self.proc / str(pid) / "fd"
        fd.mkdir(parents=True)
        (fd / "0").symlink_to("/dev/null")
        (fd / "7").symlink_to(f"socket:[{inode}]")
        (fd.parent / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")

    def found(self, host: str = "0.0.0.0", port: int = 8434) -> Neighbour:
        return neighbour_at(host, port, self.proc)

    def test_process_is_named_with_what_it_runs(self) -> None:
        self.listen()
        self.run_program(41, "/usr/bin/other", inode=78)
        self.run_program(42, "/usr/bin/python3 -m http.server 8434")
        self.assertEqual(str(self.found()), "process 42, /usr/bin/python3 -m http.server 8434")
        self.assertEqual(self.found().way_to_end_it, "kill 42")

    def test_ollama_is_called_so(self) -> None:
        self.listen()
        self.run_program(42, "/usr/local/bin/ollama serve")
        self.assertTrue(self.found().is_ollama)
        self.assertEqual(str(self.found()), "Ollama (process 42, /usr/local/bin/ollama serve)")

    def test_of_others_processes_the_user_is_told(self) -> None:
        self.patch(pwd, "getpwuid", lambda uid: pwd.struct_passwd(("ollama", "x", uid, uid, "", "/", "/")))
        self.listen(uid=998)
        self.assertEqual(str(self.found()), "Ollama of the user ollama")
        self.assertEqual(self.found().way_to_end_it, "sudo systemctl stop ollama")

    def test_only_what_stands_in_the_way_counts(self) -> None:
        for address, table, host, meets in (
            (LOOPBACK, "tcp", "0.0.0.0", True),
            (LOOPBACK, "tcp", "127.0.0.1", True),
            (LOOPBACK, "tcp", "127.0.0.2", False),
            (LOOPBACK_6, "tcp6", "::1", True),
            (MAPPED, "tcp6", "127.0.0.1", True),
            ("0" * 32, "tcp6", "10.0.0.1", True),
            (LOOPBACK, "tcp", "a-name", True),
        ):
            for each in ("tcp", "tcp6"):
                (self.proc / "net" / each).unlink(missing_ok=True)
            self.listen(address, table)
            self.assertEqual(bool(self.found(host).owner), meets, (address, host))
        self.listen(state="01")
        self.assertEqual(self.found("10.0.0.9").owner, "")

    def test_where_nothing_is_told_that_is_said(self) -> None:
        unknown = "a program that cannot be told from here"
        self.assertEqual(str(self.found()), unknown)
        for text in (b"", b"nonsense\n" * 3, HEAD.encode() + b"0: zz:zz 0 0A\n\n:::\n", b"\xff\xfe"):
            (self.proc / "net" / "tcp").write_bytes(text)
            self.assertEqual(str(self.found()), unknown)

    def test_long_command_lines_are_cut(self) -> None:
        self.listen()
        self.run_program(42, "program --token=" + "s" * 500)
        self.assertLess(len(str(self.found())), 100)


class PortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.socket = socket.socket()
        self.addCleanup(self.socket.close)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(1)
        self.port: int = self.socket.getsockname()[1]

    def test_busy_port_names_who_has_it_and_a_command_with_a_free_one(self) -> None:
        told = port_problem("127.0.0.1", self.port) or ""
        free = free_port_after("127.0.0.1", self.port)
        self.assertNotEqual(free, self.port)
        self.assertIn(f"--port {free} or agentctl port-set plugin_proxy_llama {free}", told)
        if PROC.is_dir():
            self.assertIn(f"process {os.getpid()}, ", told)
            self.assertIn(f"kill {os.getpid()}", told)

    def test_endpoint_is_where_the_port_is_to_be_changed(self) -> None:
        endpoint = f"tcp:{self.port}"
        self.assertIn(
            f"choose another port in the endpoint {endpoint}", port_problem("", self.port, endpoint) or ""
        )
