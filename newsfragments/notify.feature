`notify` names an ntfy topic or a webhook that hears when a turn that went on by itself has ended or asks for leave.
