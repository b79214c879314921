With several workers the kernel itself gives a connection to the worker that has the session of its address; only what a header or a key decides is handed over from one to another.
