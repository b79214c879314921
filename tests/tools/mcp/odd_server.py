"""An MCP server over stdio that is badly written in every way that costs only itself something."""

import base64
import json
import sys
from typing import Any


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def text(of: str) -> dict[str, Any]:
    return {"type": "text", "text": of}


PICTURE = base64.b64encode(b"x" * 30).decode()
PARTS: dict[str, list[Any]] = {
    "resource": [
        {"type": "resource", "resource": {"uri": "file:///a", "mimeType": "text/plain", "text": "body"}},
        {
            "type": "resource",
            "resource": {
                "uri": "file:///b",
                "mimeType": "application/json",
                "blob": base64.b64encode('{"ü": 1}'.encode()).decode(),
            },
        },
        {"type": "resource", "resource": {"uri": "file:///c", "mimeType": "image/png", "blob": PICTURE}},
    ],
    "link": [
        {"type": "resource_link", "uri": "https://example.org/r", "name": "report", "description": "of May"}
    ],
    "picture": [text("Here:"), {"type": "image", "mimeType": "image/png", "data": PICTURE}],
    "sound": [{"type": "audio", "mimeType": "audio/wav", "data": PICTURE}],
    "broken": [text("good"), {"type": "image"}, {"type": "hologram"}, 7, {"type": "note", "text": "a note"}],
}
PAIR = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"pair": {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}},
}
OTHERS = ("progress", "endless", "fail", "ask", "confirm")
TOOLS: list[Any] = [
    {"name": "none", "inputSchema": None},
    {"inputSchema": {"type": "object"}},
    None,
    {"name": "pair", "inputSchema": PAIR},
    {"name": "broken_schema", "inputSchema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
    {"name": "搜索", "inputSchema": {"type": "object"}},
    *(
        {"name": name, "inputSchema": {"type": "object"}}
        for name in (*PARTS, "progress", "endless", "fail", "ask", "confirm")
    ),
]

print("Welcome to odd_server!", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    print("DEBUG", asked.get("method"), flush=True)
    sys.stdout.buffer.write(b"caf\xe9 {not json\n")
    sys.stdout.flush()
    match asked["method"]:
        case "initialize":
            info = {"name": "odd", "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
            send(id=asked["id"], result=result)
        case "tools/list":
            send(id=asked["id"], result={"tools": TOOLS})
        case "tools/call":
            name = asked["params"]["name"]
            match name:
                case "progress":
                    token = asked["params"]["_meta"]["progressToken"]
                    for step in (1, 2, 2):
                        about = {
                            "progressToken": token,
                            "progress": step,
                            "total": 4,
                            "message": f"step {step}",
                        }
                        send(method="notifications/progress", params=about)
                    send(id=asked["id"], result={"content": [text("done")]})
                case "endless":
                    while True:
                        sys.stdout.write("x" * 65536)
                case "ask" | "confirm":
                    field = {"type": "string"} if name == "ask" else {"type": "boolean"}
                    schema = {"type": "object", "properties": {"it": field}, "required": ["it"]}
                    question = {"message": f"What of {name}?", "requestedSchema": schema}
                    send(id="q", method="elicitation/create", params=question)
                    while (said := json.loads(sys.stdin.readline())).get("id") != "q":
                        pass
                    send(id=asked["id"], result={"content": [text(json.dumps(said["result"]))]})
                case "fail":
                    send(id=asked["id"], result={"content": [text("no luck")], "isError": True})
                case "pair" | "搜索":
                    send(id=asked["id"], result={"content": [text(json.dumps(asked["params"]["arguments"]))]})
                case _:
                    send(id=asked["id"], result={"content": PARTS[name]})
        case _ if "id" in asked:
            send(id=asked["id"], error={"code": -32601, "message": "Method not found"})
