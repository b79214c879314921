"""What models' servers are asked: a copy made for the one that gets it, each time, so that it refuses nothing in it."""
