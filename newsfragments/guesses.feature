Whoever tries many wrong keys has to wait, twice as long with each further one, and the server holds nothing meanwhile.
