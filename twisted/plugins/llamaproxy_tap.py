"""The `twistd` drop-in: `twistd -n llamaproxy`."""

from twisted.application.service import ServiceMaker

llamaproxy = ServiceMaker(
    "llamaproxy",
    "llamaproxy.tap",
    "Puts a personal AI agent behind the Ollama and OpenAI HTTP dialects that chat apps speak.",
    "llamaproxy",
)
