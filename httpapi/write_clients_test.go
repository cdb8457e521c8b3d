package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// clientRequests are requests as clients put them on the wire; each writes one point at
// 1795161600 s. $GZIP stands for the point, compressed.
var clientRequests = []struct{ client, head, body string }{
	{
		"influx 1.6.7, INSERT",
		"POST /write?consistency=all&db=$DB&precision=ns&rp= HTTP/1.1\nContent-Type: \nUser-Agent: InfluxDBShell/1.6.7~rc0\nAccept-Encoding: gzip",
		" cpu,host=a v=1 1795161600000000000",
	},
	{
		"influx 1.6.7, -import",
		"POST /write?consistency=all&db=$DB&precision=s&rp=autogen HTTP/1.1\nContent-Type: \nUser-Agent: InfluxDBShell/1.6.7~rc0",
		"cpu,host=a v=1 1795161600\n",
	},
	{
		"Telegraf 1.39.3, outputs.influxdb",
		"POST /write?db=$DB HTTP/1.1\nUser-Agent: Telegraf/1.39.3 Go/1.26.0\nContent-Encoding: gzip\nContent-Type: text/plain; charset=utf-8\nTransfer-Encoding: chunked",
		"$GZIP",
	},
	{
		"Telegraf 1.39.3, outputs.influxdb_v2",
		"POST /api/v2/write?bucket=$DB&org=o HTTP/1.1\nUser-Agent: Telegraf/1.39.3 Go/1.26.0\nAuthorization: Token t\nContent-Encoding: gzip\nContent-Type: text/plain; charset=utf-8\nTransfer-Encoding: chunked",
		"$GZIP",
	},
	{
		"Telegraf 1.39.3, outputs.influxdb_v3",
		"POST /api/v3/write_lp?db=$DB&no_sync=false HTTP/1.1\nUser-Agent: Telegraf/1.39.3 Go/1.26.0\nAuthorization: Bearer t\nContent-Encoding: gzip\nContent-Type: text/plain; charset=utf-8\nTransfer-Encoding: chunked",
		"$GZIP",
	},
	{
		"influxdb3-python 0.21.0",
		"POST /api/v2/write?org=default&bucket=$DB&precision=ns HTTP/1.1\nAuthorization: Token t\nAccept: application/json\nContent-Type: text/plain; charset=utf-8",
		"cpu,host=a v=1 1795161600000000000",
	},
	{
		"influxdb3-python 0.21.0 on v3",
		"POST /api/v3/write_lp?org=default&db=$DB&precision=nanosecond&no_sync=true&accept_partial=false HTTP/1.1\nAuthorization: Token t\nAccept: application/json\nContent-Type: text/plain; charset=utf-8",
		"cpu,host=a v=1 1795161600000000000",
	},
	{
		"influxdb-client 1.50.0",
		"POST /api/v2/write?org=o&bucket=$DB&precision=s HTTP/1.1\nAuthorization: Token t\nAccept: application/json\nContent-Type: text/plain",
		"cpu,host=a v=1 1795161600",
	},
	{
		"influxdb3-go 2.17.0",
		"POST /api/v2/write?bucket=$DB&org=&precision=ns HTTP/1.1\nAuthorization: Token t\nContent-Encoding: gzip\nContent-Type: application/json",
		"$GZIP",
	},
	{
		"@influxdata/influxdb3-client 2.1.0",
		"POST /api/v2/write?bucket=$DB&precision=ns HTTP/1.1\nAuthorization: Token t\nContent-Type: text/plain; charset=utf-8",
		"cpu,host=a v=1 1795161600000000000",
	},
	{
		"curl -d from a Windows file",
		"POST /write?db=$DB&precision=h HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\nAccept: */*",
		"# exported\r\n\r\n  cpu,host=a v=1 498656\r\n",
	},
	{
		"a client of InfluxDB 1 with names and passwords in the query",
		"POST /write?db=$DB&u=me&p=secret&precision=ms&pretty=true HTTP/1.1",
		"cpu,host=a v=1 1795161600000",
	},
}

// TestRequestsOfClientsAreAccepted byte for byte, and store what they say.
func TestRequestsOfClientsAreAccepted(t *testing.T) {
	s := newSite(t, Options{}, true)
	for i, c := range clientRequests {
		db := fmt.Sprintf("db%d", i)
		head := strings.ReplaceAll(strings.ReplaceAll(c.head, "$DB", db), "\n", "\r\n")
		body := c.body
		if body == "$GZIP" {
			body = gzipped(t, "cpu,host=a v=1 1795161600000000000\n")
		}
		if strings.Contains(head, "chunked") {
			body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		} else {
			head += fmt.Sprintf("\r\nContent-Length: %d", len(body))
		}
		back := s.wire(head + "\r\nHost: localhost\r\nConnection: close\r\n\r\n" + body)
		if !strings.HasPrefix(back, "HTTP/1.1 204 No Content\r\n") {
			t.Errorf("%s: answered %s", c.client, back)
			continue
		}
		s.get("/api/v3/query_sql?format=jsonl&db="+db+"&q=SELECT+host,v,epoch(time)::bigint+AS+at+FROM+cpu").
			is(t, http.StatusOK, `{"host":"a","v":1.0,"at":1795161600}`)
	}
}
