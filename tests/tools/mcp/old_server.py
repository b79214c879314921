"""An MCP server over stdio that speaks the older protocol: with each call its one tool changes its name.

After the second call it does not want to list its tools, and says on standard error that it was asked.
"""

import json
import sys
from typing import Any

NAMES = ("grow", "grown", "old")


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


calls, refusing = 0, False
for line in sys.stdin:
    asked = json.loads(line)
    match asked["method"]:
        case "initialize":
            info = {"name": "old", "version": "1"}
            capabilities = {"tools": {"listChanged": True}}
            result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info}
            send(id=asked["id"], result=result)
        case "tools/list" if refusing:
            send(id=asked["id"], error={"code": -32603, "message": "Not now"})
            refusing = False
            print("refused", file=sys.stderr, flush=True)
        case "tools/list":
            tool = {"name": NAMES[min(calls, 2)], "inputSchema": {"type": "object"}}
            send(id=asked["id"], result={"tools": [tool]})
        case "tools/call":
            calls += 1
            refusing = calls == 2
            send(method="notifications/tools/list_changed")
            send(id=asked["id"], result={"content": [{"type": "text", "text": f"call {calls}"}]})
        case _ if "id" in asked:
            send(id=asked["id"], error={"code": -32601, "message": "Method not found"})
