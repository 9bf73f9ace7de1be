// Command run is a node for tests that need one built with tags, which a test
// binary cannot be for itself.
package main

import (
	"fmt"
	"os"

	"github.com/abide-privacy/abide/internal/testx/node"
)

func main() {
	node.Become()
	fmt.Fprintln(os.Stderr, "run: error: tests start this program, with a job in its environment")
	os.Exit(1)
}
