// Package examples holds the sample policies, so that the demo and the tests
// run without a checkout.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed shop/policy starter/policy
var files embed.FS

// Shop is the policy folder of the sample shop.
func Shop() fs.FS { return sub("shop/policy") }

// Starter is the small policy that `abide init` lays down.
func Starter() fs.FS { return sub("starter/policy") }

func sub(dir string) fs.FS {
	s, err := fs.Sub(files, dir)
	if err != nil {
		panic("examples: " + dir + " is not embedded")
	}
	return s
}
