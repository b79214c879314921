Each request has an id, its own or the one in `X-Request-Id`, which comes back in the answer and stands in the log; each turn leaves a record without words (`!trace`), and one line in the log.
