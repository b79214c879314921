With `--workers`, a worker that hangs is noticed, ended and started again, instead of leaving its share of the connections without an answer.
