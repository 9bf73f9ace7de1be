package history

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is the sequential specification: whether consent is given.
var register = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		parts := map[Key][]porcupine.Operation{}
		var keys []Key
		for _, o := range all {
			k := o.Input.(Op).Key
			if parts[k] == nil {
				keys = append(keys, k)
			}
			parts[k] = append(parts[k], o)
		}
		out := make([][]porcupine.Operation, 0, len(keys))
		for _, k := range keys {
			out = append(out, parts[k])
		}
		return out
	},
	Init: func() any { return false },
	Step: func(state, input, _ any) (bool, any) {
		o := input.(Op)
		switch o.Kind {
		case Give:
			return true, true
		case Withdraw:
			return true, false
		case Ask:
			return o.Permitted == state.(bool), state
		}
		return false, state
	},
	DescribeOperation: func(input, _ any) string { return input.(Op).String() },
	DescribeState:     func(state any) string { return fmt.Sprintf("given: %t", state) },
}

// Verdict is what a history was found to be.
type Verdict struct {
	Ops, Registers, Overlapping int
	Unknown                     int      // operations whose outcome stayed open
	Violations                  []string // for people: the operation that fits nowhere, and what it overlaps with
	Undecided                   int      // registers whose check took too long
	Pictures                    []string // files with porcupine's drawing of each violation
}

// Linearizable judges a history, each register for itself, taking no longer
// than limit for one. dir receives the drawings of violations.
func Linearizable(ops []Op, limit time.Duration, dir string) (Verdict, error) {
	v := Verdict{Ops: len(ops), Overlapping: Overlapping(ops)}
	for _, o := range ops {
		if o.Return == Never {
			v.Unknown++
		}
	}
	registers := byKey(ops)
	keys := make([]Key, 0, len(registers))
	for k := range registers {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Purpose, b.Purpose))
	})
	for _, k := range keys {
		v.Registers++
		if err := v.check(k, registers[k], limit, dir); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (v *Verdict) check(k Key, ops []Op, limit time.Duration, dir string) error {
	all := make([]porcupine.Operation, len(ops))
	for i, o := range ops {
		all[i] = porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: int64(o.Return)}
	}
	result, info := porcupine.CheckOperationsVerbose(register, all, limit)
	switch result {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		v.Undecided++
		return nil
	}
	v.Violations = append(v.Violations, explain(k, ops, info))
	f, err := os.CreateTemp(dir, "history-*.html")
	if err != nil {
		return err
	}
	defer f.Close()
	v.Pictures = append(v.Pictures, f.Name())
	return porcupine.Visualize(register, info, f)
}

// explain names the first operation, by its answer, that no order reaches,
// and what overlaps with it.
func explain(k Key, ops []Op, info porcupine.LinearizationInfo) string {
	reached := map[Op]bool{}
	for _, part := range info.PartialLinearizationsOperations() {
		var longest []porcupine.Operation
		for _, l := range part {
			if len(l) > len(longest) {
				longest = l
			}
		}
		for _, o := range longest {
			reached[o.Input.(Op)] = true
		}
	}
	rest := slices.DeleteFunc(slices.Clone(ops), func(o Op) bool { return reached[o] })
	slices.SortFunc(rest, func(a, b Op) int { return cmp.Or(cmp.Compare(a.Return, b.Return), cmp.Compare(a.Call, b.Call)) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s: no order explains\n", k)
	for _, o := range rest[:min(3, len(rest))] {
		fmt.Fprintf(&b, "  %s\n  which overlaps with\n%s", o, pairs(ops, o))
	}
	return b.String()
}
