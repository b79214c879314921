Samples for operators in `deploy/`: a container file, a compose file with Open WebUI, sites for nginx and Caddy that let pictures through, and the unit for systemd.
