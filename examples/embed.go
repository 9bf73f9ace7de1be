// Package examples holds the sample policies, so that the demo and the tests
// run without a checkout.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed shop/policy starter/policy authzen/policy authzen/mapping.json
var files embed.FS

// Shop is the policy folder of the sample shop.
func Shop() fs.FS { return sub("shop/policy") }

// Starter is the small policy that `abide init` lays down.
func Starter() fs.FS { return sub("starter/policy") }

// Records is the policy of the certification scenario of AuthZEN.
func Records() fs.FS { return sub("authzen/policy") }

// RecordsMapping is the AuthZEN mapping of that scenario.
func RecordsMapping() []byte {
	text, err := files.ReadFile("authzen/mapping.json")
	if err != nil {
		panic("examples: authzen/mapping.json is not embedded")
	}
	return text
}

func sub(dir string) fs.FS {
	s, err := fs.Sub(files, dir)
	if err != nil {
		panic("examples: " + dir + " is not embedded")
	}
	return s
}
