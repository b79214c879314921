What single clients need (Enchanted's separate short lines, no sign-in page in the Ollama CLI, no repeated turns by the OpenAI and AI SDKs) is in one table of quirks.
