package source_test

import "flag"

var update = flag.Bool("update", false, "write what is found into the archives")
