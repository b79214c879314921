Model servers on plain HTTP are asked over a connection of their own making, answers leave in one piece each, and the benchmarks (`make bench`) measure it all beside nginx and the usual stack.
