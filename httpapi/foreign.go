package httpapi

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// errForeignPage: a page of another site asks a server that needs no token, through a
// browser on its machine.
var errForeignPage = &requestError{
	http.StatusForbidden,
	"this server has no token yet, so it answers only requests to localhost or to an address, and no web page of another site; make a token first: siltstone create token --admin",
}

// isForeignPage reports whether a browser sent the request for a page that is not of this
// machine. Such a page could otherwise read and write everything on a server that is open
// to its own machine, and take the first admin token. Browsers name the page in Origin
// and Sec-Fetch-Site (https://www.w3.org/TR/fetch-metadata/). A page that made its own name
// point here (DNS rebinding) is of this site to the browser, and shows only in Host, by a
// name that somebody can register.
func isForeignPage(r *http.Request) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	host := (&url.URL{Host: r.Host}).Hostname()
	switch {
	case net.ParseIP(host) == nil && strings.Contains(host, "."):
		return true
	case origin != "":
		u, err := url.Parse(origin)
		return err != nil || !isLoopbackName(u.Hostname())
	case site == "cross-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate" // a link, whose answer the page cannot read
	}
	return false
}

func isLoopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
