package engine_test

import "flag"

var salvageStride = flag.Int("salvage-stride", 3, "a salvage is killed before every n-th operation; 1 is all of them")
