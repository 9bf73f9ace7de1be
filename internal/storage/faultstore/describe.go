package faultstore

import (
	"fmt"
	"strings"

	"github.com/abide-privacy/abide/internal/storage"
)

// change describes a change by what it writes, without any value.
func (f *Faults) change(c *storage.Change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s v%d %s", f.name(c.Row.ID), c.Row.Version, c.Row.Status)
	for i := range c.PutItems {
		fmt.Fprintf(&b, " +%s", c.PutItems[i].Category)
	}
	for i := range c.DropItems {
		fmt.Fprintf(&b, " -%s", c.DropItems[i].Category)
	}
	for i := range c.Consents {
		fmt.Fprintf(&b, " consent:%s/%s", c.Consents[i].Purpose, c.Consents[i].Action)
	}
	for i := range c.ConsentIndex {
		fmt.Fprintf(&b, " index:%s/%s", c.ConsentIndex[i].Purpose, c.ConsentIndex[i].Effect)
	}
	for i := range c.Facts {
		fmt.Fprintf(&b, " fact:%s", c.Facts[i].Anchor)
	}
	for i := range c.Entries {
		fmt.Fprintf(&b, " entry:%d/%s", c.Entries[i].N, c.Entries[i].Kind)
	}
	if len(c.Claims) > 0 {
		fmt.Fprintf(&b, " claims:%d", len(c.Claims))
	}
	if len(c.Stale) > 0 {
		fmt.Fprintf(&b, " stale:%d", len(c.Stale))
	}
	if c.Idempotency != nil {
		b.WriteString(" idempotency")
	}
	if c.Erasure != nil {
		fmt.Fprintf(&b, " erasure:%s", c.Erasure.Step)
	}
	return b.String()
}

func (f *Faults) lookups(claims []storage.Lookup) string {
	var b strings.Builder
	for i := range claims {
		fmt.Fprintf(&b, " %s:%s", f.name(claims[i].Subject), claims[i].Category)
	}
	return strings.TrimSpace(b.String())
}

func (f *Faults) wrapped(keys []storage.WrappedKey) string {
	var b strings.Builder
	for i := range keys {
		fmt.Fprintf(&b, " %s/%s/%d", f.name(keys[i].Subject), compartment(keys[i].Compartment), keys[i].Version)
	}
	return strings.TrimSpace(b.String())
}

func compartments(cs []storage.Compartment) string {
	var b strings.Builder
	for _, c := range cs {
		b.WriteString(" " + compartment(c))
	}
	return b.String()
}

func compartment(c storage.Compartment) string {
	switch c {
	case storage.Live:
		return "live"
	case storage.Log:
		return "log"
	case storage.Law:
		return "law"
	}
	return fmt.Sprintf("compartment %d", c)
}

func kinds(looks []storage.Look) string {
	var b strings.Builder
	for i := range looks {
		b.WriteString(" " + looks[i].Kind)
	}
	return b.String()
}
