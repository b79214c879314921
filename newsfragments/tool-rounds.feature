Models can call tools: several at the same time, over several rounds, natively or as text, and every turn still ends with an answer.
