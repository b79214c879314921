// The usual way to build a proxy in Go, for comparison: it passes the bytes through, and flushes after each.
//
// Its arguments are the address to listen on and the URL behind it.
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	target, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	log.Fatal(http.ListenAndServe(os.Args[1], proxy))
}
