`make chaos` also steps the time of day of a running server, by minutes and by years, where libfaketime is installed.
