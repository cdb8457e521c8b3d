// Package httpapi is Siltstone's HTTP dialect: it decodes requests, calls engine and
// query, and puts what they answer into InfluxDB 3's words. It decides nothing about
// storage.
//
// It promises:
//
//	H1  A Server answers from the moment the process listens. Until SetReady, and
//	    from SetStopping on, all but /health, /ping, /metrics and what browsers ask
//	    with OPTIONS answer 503 with Retry-After.
//	H2  A write is answered with success only after engine.Write said so: durable
//	    and visible to queries.
//	H3  Every error is a JSON object with Content-Type application/json; its status
//	    is chosen in statusOf and nowhere else. A fault of ours carries no details
//	    but the request id under which the log has them.
//	H4  A body takes memory as it arrives, never more than MaxRequestBytes for what is
//	    sent and as much for what it decompresses to, and all bodies together never more
//	    than MaxBufferedBytes.
//	H5  A response that fails after its first byte is cut off: the client sees a
//	    broken transfer, never a shorter result that looks complete.
//	H6  A request reaches its handler only when its sender may use the route: routes.go
//	    says whose each is, and admit decides, before anything of the body is read
//	    and before it shows whether the path exists. A handler whose request names a
//	    database checks the sender's permission before it does anything for it.
//	H7  A token is shown once, to who created it. No other answer and no line of the
//	    log has it, or its hash.
//	H8  Connections and requests at once are bounded. At the bound a new connection takes
//	    the place of the longest idle one, so that nobody keeps others out by holding
//	    connections; one with a request under way is never closed for another.
//
// A Server may be used concurrently. It starts no goroutines but that in which
// AwaitAnswers waits, and it owns no bytes on disk. Starting, stopping and the listener are left to cmd.
package httpapi
