A busy port names the process that has it, says so where that is Ollama, and gives a command with a free port.
