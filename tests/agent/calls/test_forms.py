"""Every form in which models write calls, a row each, cut in every place; and what is none, cut likewise."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.calls.forms.table import FORMS
from llamaproxy.agent.calls.sieve import Sieve

NAMES = ("clock", "search")
CALL = '{"name": "clock", "arguments": {"zone": "UTC"}}'
PARAMETERS = '{"name": "clock", "parameters": {"zone": "UTC"}}'
ARGUMENTS = '{"zone": "UTC"}'
BAR = "\uff5c"
ANT = "antml:"


def deepseek(text: str) -> str:
    """`<tool calls begin>` as DeepSeek writes it."""
    return re.sub(r"<(tool [a-z ]+)>", lambda mark: f"<{BAR}{mark[1].replace(' ', '▁')}{BAR}>", text)


# What it is, and a text that calls `clock` with the zone UTC. Those before the line stand anywhere in an answer; those
# behind it have to be all of it.
MARKED = {
    "Hermes": f"<tool_call>\n{CALL}\n</tool_call>",
    "Hermes 2 in Python's quotes": "<tool_call>\n{'arguments': {'zone': 'UTC'}, 'name': 'clock'}\n</tool_call>",
    "Hermes with a list": f"<tool_call>[{CALL}]</tool_call>",
    "Hermes in a fence": f"<tool_call>\n```json\n{CALL}\n```\n</tool_call>",
    "Qwen 2.5 with arguments in a text": (
        '<tool_call>{"name": "clock", "arguments": "{\\"zone\\": \\"UTC\\"}"}</tool_call>'
    ),
    "Qwen3-Coder": (
        "<tool_call>\n<function=clock>\n<parameter=zone>\nUTC\n</parameter>\n</function>\n</tool_call>"
    ),
    "Qwen3-Coder without its opening tag": (
        "<function=clock>\n<parameter=zone>\nUTC\n</parameter>\n</function>\n</tool_call>"
    ),
    "Qwen3-Coder without the end of its last parameter": (
        "<tool_call>\n<function=clock>\n<parameter=zone>\nUTC\n</function>\n</tool_call>"
    ),
    "Qwen with an object in a function": f"<tool_call><function=clock>{ARGUMENTS}</function></tool_call>",
    "Llama 3 function": f"<function=clock>{ARGUMENTS}</function>",
    "Llama 3 function as an attribute": f'<function name="clock">{ARGUMENTS}</function>',
    "Llama 3.1": f"<|python_tag|>{PARAMETERS}",
    "Llama 3.1 with its end": f"<|python_tag|>{PARAMETERS}<|eom_id|>",
    "Llama 3.1 built in": '<|python_tag|>clock.call(zone="UTC")',
    "Llama 3.3 typed": (
        '<|python_tag|>{"type": "function", "name": "clock", "parameters": {"zone": "UTC"}}<|eot_id|>'
    ),
    "Llama 4": "<|python_start|>[clock(zone='UTC')]<|python_end|>",
    "Mistral v1 to v3": f"[TOOL_CALLS] [{CALL}]",
    "Mistral with its end": f"[TOOL_CALLS][{CALL}]</s>",
    "Mistral with an id": '[TOOL_CALLS] [{"name": "clock", "arguments": {"zone": "UTC"}, "id": "VvvODy9mT"}]',
    "Mistral v11": f"[TOOL_CALLS]clock[CALL_ID]VvvODy9mT[ARGS]{ARGUMENTS}",
    "Mistral v13": f"[TOOL_CALLS]clock[ARGS]{ARGUMENTS}",
    "Mistral v13 without its last mark": f"[TOOL_CALLS]clock{ARGUMENTS}",
    "DeepSeek V3 and R1": deepseek(
        "<tool calls begin><tool call begin>function<tool sep>clock\n"
        f"```json\n{ARGUMENTS}\n```<tool call end><tool calls end>"
    ),
    "DeepSeek V3.1": deepseek(
        f"<tool calls begin><tool call begin>clock<tool sep>{ARGUMENTS}<tool call end><tool calls end>"
    ),
    "DeepSeek in ASCII": (
        "<|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>clock\n"
        f"```json\n{ARGUMENTS}\n```<|tool_call_end|><|tool_calls_end|>"
    ),
    "DeepSeek without the outer marks": deepseek(
        f"<tool call begin>clock<tool sep>{ARGUMENTS}<tool call end><tool calls end>"
    ),
    "DeepSeek V3.2": (
        f'<{BAR}DSML{BAR}function_calls>\n<{BAR}DSML{BAR}invoke name="clock">\n'
        f'<{BAR}DSML{BAR}parameter name="zone" string="true">UTC</{BAR}DSML{BAR}parameter>\n'
        f"</{BAR}DSML{BAR}invoke>\n</{BAR}DSML{BAR}function_calls>"
    ),
    "Kimi K2": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.clock:0<|tool_call_argument_begin|>"
        f"{ARGUMENTS}<|tool_call_end|><|tool_calls_section_end|>"
    ),
    "Kimi K2 without the outer marks": (
        f"<|tool_call_begin|>functions.clock:0<|tool_call_argument_begin|>{ARGUMENTS}<|tool_call_end|>"
    ),
    "GLM 4.5": ("<tool_call>clock\n<arg_key>zone</arg_key>\n<arg_value>UTC</arg_value>\n</tool_call>"),
    "GLM 4.7": "<tool_call>clock<arg_key>zone</arg_key><arg_value>UTC</arg_value></tool_call>",
    "MiniMax M1, Hunyuan": f"<tool_calls>\n{CALL}\n</tool_calls>",
    "Jamba": f"<tool_calls>[{CALL}]</tool_calls>",
    "MiniMax M2": (
        '<minimax:tool_call>\n<invoke name="clock">\n<parameter name="zone">UTC</parameter>\n</invoke>\n'
        "</minimax:tool_call>"
    ),
    "Claude's examples": (
        f'<{ANT}function_calls>\n<{ANT}invoke name="clock">\n<{ANT}parameter name="zone">UTC</{ANT}parameter>\n'
        f"</{ANT}invoke>\n</{ANT}function_calls>"
    ),
    "the same without the outer tag": '<invoke name="clock"><parameter name="zone">UTC</parameter></invoke>',
    "OLMo 3": '<function_calls>clock(zone="UTC")</function_calls>',
    "Granite 3": f"<|tool_call|>[{CALL}]",
    "Granite 3.3": f"<|tool_call|>[{CALL}]<|end_of_text|>",
    "Granite 20B": f"<function_call> {CALL}",
    "Granite 4": f"<tool_call>\n{CALL}\n</tool_call>",
    "Phi-4 mini": f"<|tool_call|>[{CALL}]<|/tool_call|>",
    "FunctionGemma": "<start_function_call>call:clock{zone:<escape>UTC<escape>}<end_function_call>",
    "Gemma 4": '<|tool_call>call:clock{zone:<|"|>UTC<|"|>}<tool_call|>',
    "Gemma 3 in tags": '<tool_code>print(default_api.clock(zone="UTC"))</tool_code>',
    "Command R7B and A": (
        '<|START_ACTION|>[\n{"tool_call_id": "0", "tool_name": "clock", "parameters": {"zone": "UTC"}}\n]'
        "<|END_ACTION|>"
    ),
    "harmony": (f"<|channel|>commentary to=functions.clock <|constrain|>json<|message|>{ARGUMENTS}<|call|>"),
    "harmony with its beginning": (
        "<|start|>assistant<|channel|>commentary to=functions.clock <|constrain|>json<|message|>"
        f"{ARGUMENTS}<|call|>"
    ),
    "harmony with the name in the role": (
        f"<|start|>assistant to=functions.clock<|channel|>commentary json<|message|>{ARGUMENTS}<|call|>"
    ),
    "LFM2": "<|tool_call_start|>[clock(zone='UTC')]<|tool_call_end|>",
    "MiniCPM": '<|tool_call_start|>\n```python\nclock(zone="UTC")\n```\n<|tool_call_end|>',
    "Seed-OSS": (
        "<seed:tool_call>\n<function=clock>\n<parameter=zone>UTC</parameter>\n</function>\n</seed:tool_call>"
    ),
    "InternLM": f"<|action_start|><|plugin|>\n{PARAMETERS}<|action_end|>",
    "Nemotron": f"<TOOLCALL>[{CALL}]</TOOLCALL>",
    "Apertus": '<|tools_prefix|>[{"clock": {"zone": "UTC"}}]<|tools_suffix|>',
    "Solar": (
        f"<|tool_call:begin|>a1b2<|tool_call:name|>clock<|tool_call:args|>{ARGUMENTS}<|tool_call:end|>"
        "<|tool_calls:end|>"
    ),
    "Step 3": (
        f"<{BAR}tool_calls_begin{BAR}><{BAR}tool_call_begin{BAR}>function<{BAR}tool_sep{BAR}>"
        '<steptml:invoke name="clock"><steptml:parameter name="zone">UTC</steptml:parameter></steptml:invoke>'
        f"<{BAR}tool_call_end{BAR}><{BAR}tool_calls_end{BAR}>"
    ),
    "LM Studio": f"[TOOL_REQUEST]{CALL}[END_TOOL_REQUEST]",
    "LongCat": f"<longcat_tool_call>{CALL}</longcat_tool_call>",
    "Pangu": f"[unused11][{CALL}][unused12]",
    "Gorilla": '<<function>>clock(zone="UTC")',
    "tags mixed up": f"<tools>\n{CALL}\n</tools>",
    "a comma too many": '<tool_call>{"name": "clock", "arguments": {"zone": "UTC",},}</tool_call>',
    "a brace too few": '<tool_call>{"name": "clock", "arguments": {"zone": "UTC"}</tool_call>',
    "a brace too many": '<tool_call>{"name": "clock", "arguments": {"zone": "UTC"}}}</tool_call>',
    "an end of line in a text": f"<tool_call>{CALL}\n\n</tool_call>",
    "no closing tag": f"<tool_call>\n{CALL}\n",
}
ALONE = {
    "JSON": CALL,
    "JSON with parameters, as Llama 3.1 writes it": PARAMETERS,
    "JSON in OpenAI's shape": '{"type": "function", "function": {"name": "clock", "arguments": {"zone": "UTC"}}}',
    "JSON with a list of calls": f'{{"tool_calls": [{CALL}]}}',
    "xLAM": f"[{CALL}]",
    "Qwen2.5-Coder": f"```json\n{CALL}\n```",
    "a fence without a language": f"```\n{CALL}\n```",
    "a fence in one line": f"```JSON {CALL}```",
    "a fence of its own": f"```tool_call\n{CALL}",
    "Gemma 3": '```tool_code\nprint(default_api.clock(zone="UTC"))\n```',
    "Gemma 3 without print": "```tool_code\nclock(zone='UTC')\n```",
    "Llama 3.2": '[clock(zone="UTC")]',
    "one call as in Python": "clock(zone='UTC')",
    "Command R": 'Action: ```json\n[{"tool_name": "clock", "parameters": {"zone": "UTC"}}]\n```',
    "Phi-4 mini and Firefunction": f"functools[{CALL}]",
    "GLM 4 0414": f"clock\n{ARGUMENTS}",
    "Functionary 3.2": f">>>clock\n{ARGUMENTS}",
    "harmony without its marks": f"commentary to=functions.clock json{ARGUMENTS}",
    "behind a thought": f"<think>\nI might call <tool_call>{CALL}</tool_call>\n</think>\n\n{CALL}",
}
FOUND = [("clock", {"zone": "UTC"})]

# What is no call, or only looks like it.
NO_CALLS = {
    "a thought": f"<think>I could call <tool_call>{CALL}</tool_call></think>No.",
    "a thought without an end": f"<think>I could call <tool_call>{CALL}</tool_call>",
    "a thought that began in the prompt": f"I could call <tool_call>{CALL}</tool_call></think>No.",
    "a thought of Mistral's": f"[THINK]so: [TOOL_CALLS][{CALL}][/THINK]No.",
    "a thought of harmony's": f"<|channel|>analysis<|message|><tool_call>{CALL}</tool_call><|end|>No.",
    "a thought of Command's": f"<|START_THINKING|><tool_call>{CALL}</tool_call><|END_THINKING|>No.",
    "a fence in prose": f"Like this:\n```json\n{CALL}\n```\nIt writes a file.",
    "a fence behind prose": f"Like this:\n```json\n{CALL}\n```",
    "a fence before prose": f"```json\n{CALL}\n```\nis how one would call it.",
    "two fences with prose between": f"```json\n{CALL}\n```\nor\n```json\n{CALL}\n```",
    "a tag in a fence": f"Like this:\n```xml\n<tool_call>\n{CALL}\n</tool_call>\n```\nDone.",
    "a tag in a fence of more signs": f"````md\n```\n<tool_call>{CALL}</tool_call>\n```\n````\nDone.",
    "a tag in a fence of tildes": f"Like this:\n~~~\n<tool_call>{CALL}</tool_call>\n~~~\n",
    "a tag in an open fence": f"Like this:\n```\n<tool_call>{CALL}</tool_call>\n",
    "a tag between backticks": f"Write `<tool_call>{CALL}</tool_call>` to call it.",
    "a tag between two backticks": f"Write ``a`<tool_call>{CALL}</tool_call>`` to call it.",
    "a tag in quotation marks": f'Write "<tool_call>{CALL}</tool_call>" to call it.',
    "a tag in other quotation marks": f"Schreib \u201e<tool_call>{CALL}</tool_call>\u201c dafür.",
    "tags in a table": (
        f"| form | call |\n|---|---|\n| Hermes | <tool_call>{CALL}</tool_call> |\n"
        f'|Mistral|[TOOL_CALLS]search{{"q": "x"}}|\n'
    ),
    "a tag in a quotation": f"He wrote:\n> so: <tool_call>{CALL}</tool_call>\n\nI would not.",
    "a tag in indented code": f"Like this:\n\n    <tool_call>{CALL}</tool_call>\n\nDone.",
    "a tag in code of HTML": f"Like <code><tool_call>{CALL}</tool_call></code>.",
    "a mark of Mistral's in code": f"It is `[TOOL_CALLS][{CALL}]`, you see.",
    "JSON behind prose": f"It is {CALL}",
    "JSON before prose": f"{CALL} is how one would call it",
    "a record": '{"name": "Anna", "age": 7}',
    "a call of a tool that there is not": '{"name": "unknown", "arguments": {}}',
    "a fenced call of such a tool": '```json\n{"name": "Anna", "arguments": {}}\n```',
    "Python of such a tool": "[anna(zone='UTC')]",
    "Python in words": "clock(zone) gives the time",
    "a list in Python behind words": "Say [clock(zone='UTC')]",
    "a name": "clock",
    "a name and words": "clock\nThat is it.",
    "half a call": '{"name": "clock", "arguments": {"zone": "UTC"',
    "a text without an end": '<tool_call>{"name": "clock", "arguments": {"zone": "UT</tool_call>',
    "a parameter without an end": "<tool_call><function=clock><parameter=zone>UT",
    "a tag that is talked about": "The <tool_call> tag holds an object.",
    "a mark that is talked about": "[TOOL_CALLS] is what Mistral writes, <|python_tag|> what Llama writes.",
    "nonsense in a tag": "<tool_call>nonsense</tool_call>",
    "HTML": "<tools><b>Hammer</b></tools> and <json>{}</json> and a < b",
    "weak tags around another name": '<tool>{"name": "nope", "arguments": {}}</tool>',
    "backticks alone": "``` and ` and ``",
    "beginnings of marks": "<tool_ [TOOL_ <| <th",
    "brackets": "[" * 300,
}


def read(*pieces: str, cut: bool = False) -> tuple[str, list[tuple[str, Any]]]:
    """What is passed on of an answer that comes in these pieces, and the calls."""
    sieve = Sieve(NAMES, 64 * 1024)
    text = "".join([sieve.take(piece) for piece in pieces]) + sieve.end(cut)
    return text, [(call.name, _object(call.arguments)) for call in sieve.found]


def _object(arguments: str) -> Any:
    value = json.decode(arguments)
    return json.decode(value) if isinstance(value, str) else value


def cuts(text: str) -> Iterator[list[str]]:
    """A text in pieces: all at once, by single signs, and in two at every place."""
    yield [text]
    yield list(text)
    for place in range(1, len(text)):
        yield [text[:place], text[place:]]


class FormTests(SynchronousTestCase):
    def assertReads(self, text: str, passed: str | None, found: list[tuple[str, Any]], name: str) -> None:
        for pieces in cuts(text):
            text_passed, calls = read(*pieces)
            self.assertEqual(calls, found, f"{name}: {pieces}")
            if passed is not None:
                self.assertEqual(text_passed, passed, f"{name}: {pieces}")

    def test_a_row_of_the_table_for_each_mark(self) -> None:
        for form in FORMS:
            self.assertTrue(
                any(opener in text for opener in form.openers for text in MARKED.values()), form.family
            )


def _add_tests() -> None:
    """One test for each row."""

    def add(kind: str, name: str, text: str, passed: str | None, found: list[tuple[str, Any]]) -> None:
        def test(self: FormTests) -> None:
            self.assertReads(text, passed, found, name)

        setattr(FormTests, "test_" + re.sub(r"\W+", "_", f"{kind} {name}"), test)

    for name, text in MARKED.items():
        add("marked", name, text, text[len(text.rstrip()) :], FOUND)
        add("behind words", name, f"Let me see.\n{text}", "Let me see.\n" + text[len(text.rstrip()) :], FOUND)
        add("twice", name, f"{text}\n{text}", None, FOUND * 2)
    for name, text in ALONE.items():
        thought = text[: text.find("</think>") + len("</think>\n\n")] if "<think>" in text else ""
        add("alone", name, text, thought, FOUND)
    for name, text in NO_CALLS.items():
        add("no call", name, text, text, [])


_add_tests()
