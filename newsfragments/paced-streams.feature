A token of a thousand streams at reading speed costs about a third less processor time, and is rarely more than a few milliseconds late.
