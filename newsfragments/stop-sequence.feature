Anthropic's dialect says which stop sequence ended an answer, where the model does.
