Editing or regenerating a message in the app takes the session back to that point; `new_chat: reset` begins it anew with each chat.
