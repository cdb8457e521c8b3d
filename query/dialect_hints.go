package query

import (
	"maps"
	"slices"
)

// instead are what to use for functions of InfluxDB that there are not.
var instead = map[string]string{
	"digest": "md5 or sha256", "sha224": "sha256", "sha384": "sha256", "sha512": "sha256", "width_bucket": "equi_width_bins",
	"date_bin_wallclock": "date_bin on tz(time, 'zone')", "date_bin_wallclock_gapfill": "date_bin_gapfill on tz(time, 'zone')",
	"regexp_instr": "strpos or regexp_extract", "uddsketch": "approx_percentile_cont", "make_array": "list_value",
	"array_position_all": "list_filter", "approx_percentile_cont_with_weight": "approx_percentile_cont", "get_field": "struct_extract",
	"named_struct": "struct_pack", "struct": "struct_pack", "unixtime": "to_unixtime", "date": "a cast, x::DATE",
}

// maxTypos is the number of letters that may be wrong in a name that a hint corrects.
const maxTypos = 2

// hint says what a function that is not known may have been meant to be.
func hint(name string, allowed map[string]bool) string {
	if other, ok := instead[name]; ok {
		return "; use " + other
	}
	best, distance := "", maxTypos+1
	for _, candidate := range slices.Sorted(maps.Keys(allowed)) {
		if len(name) > 3 && len(candidate) > 3 && len(name) < 64 {
			if d := typos(name, candidate); d < distance {
				best, distance = candidate, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// typos is the Levenshtein distance of two names.
func typos(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
