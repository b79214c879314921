"""What all back ends over HTTP share: connections, streams and their framing, refusals. Knows no vendor's format."""
