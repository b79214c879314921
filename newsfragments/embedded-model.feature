A small language model runs in a child process of the server, so that the first reply needs no account; `agentctl model-pull smollm2` fetches its weights.
