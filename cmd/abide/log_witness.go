package main

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/witness"
)

// witnesses are those that are asked to cosign, and their verifier keys. How far
// each has signed for this node is shown by metrics; what it signed for others, at
// /log/witnesses.
func (f *logFlags) witnesses(reg prometheus.Registerer) (ask []log.Witness, vkeys []string, err error) {
	seen := map[string]bool{}
	for _, w := range f.witness {
		prefix, vkey, ok := strings.Cut(strings.TrimSpace(w), " ")
		if !ok {
			return nil, nil, usage("--witness is a URL, a space and a verifier key: --witness \"https://witness.example w1+…\"")
		}
		vkey = strings.TrimSpace(vkey)
		c, err := witness.NewClient(prefix, vkey, nil)
		if err != nil {
			return nil, nil, usage("--witness: " + err.Error())
		}
		if seen[c.Name()] {
			return nil, nil, usage("--witness names " + c.Name() + " twice")
		}
		seen[c.Name()] = true
		labels := prometheus.Labels{"witness": c.Name()}
		reg.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "abide_log_witnessed_entries", ConstLabels: labels,
				Help: "Size of the last checkpoint that the witness signed for this node."}, func() float64 { return float64(c.Status().Size) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "abide_log_witness_refused", ConstLabels: labels,
				Help: "1 if the witness has seen another history of the log than this node: it was forked or rolled back."}, func() float64 {
				if c.Status().Refused {
					return 1
				}
				return 0
			}))
		ask, vkeys = append(ask, c), append(vkeys, vkey)
	}
	return ask, vkeys, nil
}
