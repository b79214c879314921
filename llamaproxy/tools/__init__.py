"""The tools room: what models may call to look things up or to do things, each behind `ITool`."""
