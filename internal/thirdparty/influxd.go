package thirdparty

import (
	"context"
	"fmt"
	"regexp"
)

// InfluxdVersion is the version of InfluxDB 1 that Debian has.
const InfluxdVersion = "1.6.7"

// Influxd returns the path of InfluxDB 1's server, from Debian's package.
func Influxd(ctx context.Context) (string, error) {
	if err := Need("apt-get", "dpkg-deb"); err != nil {
		return "", err
	}
	cache, err := NewCache("siltstone-clients")
	if err != nil {
		return "", err
	}
	return cache.Install(ctx, "influxd-"+InfluxdVersion, "usr/bin/influxd",
		"apt-get download influxdb", "dpkg-deb -x influxdb_"+InfluxdVersion+"*.deb .")
}

const influxdConfig = `
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = "%[1]s/meta"
[data]
  dir = "%[1]s/data"
  wal-dir = "%[1]s/wal"
%[2]s
[http]
  bind-address = "127.0.0.1:0"
  log-enabled = false
[monitor]
  store-enabled = false
[continuous_queries]
  enabled = false
[subscriber]
  enabled = false
`

// InfluxdConfig keeps influxd to loopback and to a directory, and silent. The settings are more lines for its
// section [data].
func InfluxdConfig(dir, settings string) []byte {
	return fmt.Appendf(nil, influxdConfig, dir, settings)
}

var influxdListening = regexp.MustCompile(`msg="Listening on HTTP".* addr=(\S+)`)

// InfluxdAddress finds in the log where influxd can be asked; ok is false as long as it cannot.
func InfluxdAddress(log string) (address string, ok bool) {
	if match := influxdListening.FindStringSubmatch(log); match != nil {
		return match[1], true
	}
	return "", false
}
