package tsbs

import (
	"math/rand/v2"
	"strconv"
)

// Table is the measurement of every line.
const Table = "cpu"

// Fields are the fields of every line, in order. Each is a random walk with normal
// steps between 0 and 100 that is cut to an integer.
var Fields = [10]string{
	"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
	"usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice",
}

const maxValue = 100

// region is a region with its datacenters.
type region struct {
	name        string
	datacenters []string
}

// The domains of the tags. Rack, service and service_version are numbers below the
// constants.
var (
	regions = []region{
		{"ap-northeast-1", []string{"ap-northeast-1a", "ap-northeast-1c"}},
		{"ap-southeast-1", []string{"ap-southeast-1a", "ap-southeast-1b"}},
		{"ap-southeast-2", []string{"ap-southeast-2a", "ap-southeast-2b"}},
		{"eu-central-1", []string{"eu-central-1a", "eu-central-1b"}},
		{"eu-west-1", []string{"eu-west-1a", "eu-west-1b", "eu-west-1c"}},
		{"sa-east-1", []string{"sa-east-1a", "sa-east-1b", "sa-east-1c"}},
		{"us-east-1", []string{"us-east-1a", "us-east-1b", "us-east-1c"}},
		{"us-west-1", []string{"us-west-1a", "us-west-1b"}},
		{"us-west-2", []string{"us-west-2a", "us-west-2b", "us-west-2c"}},
	}
	systems       = []string{"Ubuntu15.10", "Ubuntu16.04LTS", "Ubuntu16.10"}
	architectures = []string{"x64", "x86"}
	teams         = []string{"CHI", "LON", "NYC", "SF"}
	environments  = []string{"production", "staging", "test"}
)

const (
	racks    = 100
	services = 20
	versions = 2
)

// appendSeries appends measurement and tags of host i.
func appendSeries(dst []byte, rng *rand.Rand, i int) []byte {
	r := pick(rng, regions)
	tag := func(key, value string) {
		dst = append(dst, ',')
		dst = append(dst, key...)
		dst = append(dst, '=')
		dst = append(dst, value...)
	}
	number := func(key string, below int) { tag(key, strconv.Itoa(rng.IntN(below))) }
	dst = append(dst, Table...)
	tag("hostname", hostName(i))
	tag("region", r.name)
	tag("datacenter", pick(rng, r.datacenters))
	number("rack", racks)
	tag("os", pick(rng, systems))
	tag("arch", pick(rng, architectures))
	tag("team", pick(rng, teams))
	number("service", services)
	number("service_version", versions)
	tag("service_environment", pick(rng, environments))
	return dst
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

func hostName(i int) string { return "host_" + strconv.Itoa(i) }
