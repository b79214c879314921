"""An MCP server over stdio that speaks the older protocol: it has one tool, and with its first call another one."""

import json
import sys
from typing import Any

tools = [{"name": "grow", "inputSchema": {"type": "object"}}]


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


for line in sys.stdin:
    asked = json.loads(line)
    match asked["method"]:
        case "initialize":
            info = {"name": "old", "version": "1"}
            capabilities = {"tools": {"listChanged": True}}
            result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info}
            send(id=asked["id"], result=result)
        case "tools/list":
            send(id=asked["id"], result={"tools": tools})
        case "tools/call":
            tools = [{"name": "grown", "inputSchema": {"type": "object"}}]
            send(method="notifications/tools/list_changed")
            send(id=asked["id"], result={"content": [{"type": "text", "text": "larger"}]})
        case _ if "id" in asked:
            send(id=asked["id"], error={"code": -32601, "message": "Method not found"})
