"""Prompts that are too long, in the words of those who refuse them, and what sounds like that and is not."""

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from llamaproxy.models.upstream.overflow import counts, is_overflow
from llamaproxy.models.upstream.refusals import refusal
from llamaproxy.seams.errors import ContextTooLong, ModelRateLimited

# ruff: noqa: E501

# Who says so, in what words, the tokens of the prompt and those that fit; 0 for what is not told.
TOO_LONG: tuple[tuple[str, str, int, int], ...] = (
    ("OpenAI", "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
     9001, 8192),
    ("OpenAI, old", "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (4000 in "
     "your prompt; 1000 for the completion).", 5000, 4097),
    ("OpenAI, with functions", "This model's maximum context length is 4097 tokens. However, you requested 5000 tokens "
     "(3800 in the messages, 200 in the functions, and 1000 in the completion).", 5000, 4097),
    ("Responses", "Your input exceeds the context window of this model. Please adjust your input and try again.", 0, 0),
    ("a message's length", "Invalid 'messages[0].content': string too long. Expected a string with maximum length "
     "1048576, but got a string with length 2000000 instead.", 2000000, 1048576),
    ("Anthropic", "prompt is too long: 208310 tokens > 200000 maximum", 208310, 200000),
    ("Vertex", "Prompt is too long", 0, 0),
    ("Mistral", "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
     40000, 32768),
    ("Gemini", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
     1200000, 1048576),
    ("Gemini, now", "The input token count exceeds the maximum number of tokens allowed 1048576.", 0, 1048576),
    ("Bedrock", "Input is too long for requested model.", 0, 0),
    ("Bedrock's Titan", "Too many input tokens. Max input tokens: 8192, request input token count: 9000", 9000, 8192),
    ("Bedrock's errors", "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds "
     "maximum length.", 0, 0),
    ("xAI", "This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 537812, 131072),
    ("Groq", "Please reduce the length of the messages or completion.", 0, 0),
    ("Cerebras", "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
     9000, 8192),
    ("OpenRouter", "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens "
     '(8000 of text input, 1000 in the output). Please use the "middle-out" transform.', 9000, 8192),
    ("Copilot", "prompt token count of 9000 exceeds the limit of 8192", 9000, 8192),
    ("Kimi", "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)", 9000, 8192),
    ("DashScope", "Range of input length should be [1, 8192]", 0, 8192),
    ("GLM", "Prompt 超长", 0, 0),
    ("GLM, abroad", "Prompt exceeds max length", 0, 0),
    ("MiniMax", "invalid params, context window exceeds limit (2013)", 0, 0),
    ("Baidu", "the length of input exceeds limit", 0, 0),
    ("Doubao", "Input length 9000 exceeds the maximum length 8192", 9000, 8192),
    ("Cohere", "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a "
     "shorter prompt", 5000, 4081),
    ("Fireworks", "The prompt is too long: 9000, model maximum context length: 8191", 9000, 8191),
    ("Together", "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens "
     "and 512 `max_new_tokens`", 9000, 8193),
    ("TGI", "Input validation error: `inputs` must have less than 1024 tokens. Given: 1500", 1500, 1024),
    ("Cloudflare", "The estimated number of input and maximum output tokens (9000) exceeded this model context window "
     "limit (8192).", 9000, 8192),
    ("watsonx", "the number of input tokens 9000 cannot exceed the total tokens limit 8192 for this model", 9000, 8192),
    ("vLLM", "The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that "
     "`max_model_len` is no smaller than the number of text tokens.", 9000, 8192),
    ("vLLM, old", "The prompt (total length 9000) is too long to fit into the model (context length 8192).", 9000, 8192),
    ("vLLM, new", "You passed 9000 input tokens and requested 0 output tokens. However, the model's context length is "
     "only 8192 tokens.", 9000, 8192),
    ("SGLang", "The input (9000 tokens) is longer than the model's context length (8192 tokens).", 9000, 8192),
    ("SGLang, with its answer", "Requested token count exceeds the model's maximum context length of 8192 tokens. You "
     "requested a total of 9000 tokens: 8500 tokens from the input messages and 500 for the completion.", 9000, 8192),
    ("llama.cpp", "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it", 9000, 8192),
    ("llama.cpp, old", "the request exceeds the available context size. try increasing the context size", 0, 0),
    ("llama-cpp-python", "Requested tokens (9000) exceed context window of 8192", 9000, 8192),
    ("LM Studio", "The number of tokens to keep from the initial prompt is greater than the context length. Try to load "
     "the model with a larger context length, or provide a shorter input", 0, 0),
    ("LM Studio, old", "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded "
     "with context length of only 4096 tokens", 9000, 4096),
    ("Ollama", "the input length exceeds the context length", 0, 0),
    ("Ollama's cloud", "prompt too long; exceeded max context length by 5 tokens", 0, 0),
    ("TabbyAPI", "Prompt length 9000 is greater than max_seq_len 8192", 9000, 8192),
    ("LiteLLM", "litellm.ContextWindowExceededError: litellm.BadRequestError", 0, 0),
)  # fmt: skip

SOMETHING_ELSE = (
    "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 8192 tokens and "
    "your request has 100 input tokens (9000 > 8192 - 100).",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
    "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for this model",
    "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the "
    "`context_window` for this model",
    "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length 140",
    "Invalid 'tools[0].function.description': string too long. Expected a string with maximum length 1024",
    "Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40",
    "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes",
    "Rate limit reached: too many tokens per minute",
    "You exceeded your current quota, please check your plan",
    "Invalid value for temperature: must be less than 2",
    "Unsupported parameter: 'max_tokens' is not supported with this model.",
    "model 'x' not found",
    "CUDA out of memory",
)


class WordsTests(SynchronousTestCase):
    def test_every_vendors_words_for_it_are_understood_with_their_numbers(self) -> None:
        for who, said, needs, fits in TOO_LONG:
            self.assertTrue(is_overflow([said], 400), who)
            self.assertEqual(counts(said), (needs, fits), who)

    def test_what_only_sounds_like_it_is_something_else(self) -> None:
        for said in SOMETHING_ELSE:
            self.assertFalse(is_overflow([said], 400), said)


class StatusTests(SynchronousTestCase):
    def error(self, status: int, body: bytes) -> Exception:
        return refusal("Model 'm'", status, Headers(), body, 0.0)

    def test_413_is_enough_whatever_is_said(self) -> None:
        for body in (b"", b"<html>Request Entity Too Large</html>", b'{"error": {"message": "no"}}'):
            self.assertIsInstance(self.error(413, body), ContextTooLong)

    def test_400_without_a_word_may_be_it(self) -> None:
        self.assertIsInstance(self.error(400, b""), ContextTooLong)
        self.assertNotIsInstance(self.error(500, b""), ContextTooLong)

    def test_a_code_is_enough_whatever_is_said(self) -> None:
        codes = ("context_length_exceeded", "exceed_context_size_error", "model_max_prompt_tokens_exceeded")
        for code in (*codes, "tokens_limit_reached"):
            body = b'{"error": {"message": "no", "code": "%b"}}' % code.encode()
            self.assertIsInstance(self.error(400, body), ContextTooLong, code)

    def test_a_request_over_the_limit_of_a_minute_is_too_long_as_no_patience_helps(self) -> None:
        words = b"Request too large for model on tokens per minute (TPM): Limit 6000, Requested 9000"
        error = self.error(429, b'{"error": {"message": "%b"}}' % words)
        assert isinstance(error, ContextTooLong)
        self.assertEqual((error.prompt_tokens, error.context_length), (9000, 6000))

    def test_other_limits_of_a_minute_ask_for_patience(self) -> None:
        body = b'{"error": {"message": "Rate limit reached: Limit 6000, Used 5900, Requested 200 tokens"}}'
        self.assertIsInstance(self.error(429, body), ModelRateLimited)

    def test_words_inside_of_another_servers_are_heard(self) -> None:
        raw = b'{\\"error\\": {\\"message\\": \\"prompt is too long: 9000 tokens > 8192 maximum\\"}}'
        body = (
            b'{"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": "%b"}}}' % raw
        )
        error = self.error(400, body)
        assert isinstance(error, ContextTooLong)
        self.assertEqual((error.prompt_tokens, error.context_length), (9000, 8192))
