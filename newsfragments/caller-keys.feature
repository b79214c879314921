agentctl makes profiles of callers and their keys (`caller-add`, `caller-list`, `caller-info`, `caller-set`, `caller-remove`); a key is shown once, with a QR code, and stored as a digest.
