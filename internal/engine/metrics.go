package engine

import "github.com/prometheus/client_golang/prometheus"

// metrics counts what the engine does. Labels are names of the policy and of
// use cases, never anything about a person. A nil registerer keeps none.
type metrics struct {
	decisions *prometheus.CounterVec
	changes   *prometheus.CounterVec
	conflicts prometheus.Counter
	looks     prometheus.Counter
	batches   prometheus.Histogram
	refused   prometheus.Counter
	findings  *prometheus.CounterVec
	erasures  *prometheus.CounterVec
	ledger    prometheus.Counter
	gap       prometheus.Gauge
	tidy      *prometheus.CounterVec
	untidy    prometheus.Counter
	orphans   prometheus.Gauge
	keys      keyGauges
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "abide_decisions_total", Help: "Decisions by act and effect.",
		}, []string{"act", "effect"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "abide_changes_total", Help: "Changes of subjects by use case and outcome.",
		}, []string{"operation", "outcome"}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "abide_change_conflicts_total", Help: "Changes built again because another came first.",
		}),
		looks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "abide_looks_recorded_total", Help: "Looks, refusals and decisions made durable.",
		}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "abide_spool_batch_looks", Help: "Looks made durable together.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "abide_spool_failures_total", Help: "Times the store did not take a batch of looks.",
		}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "abide_findings_total", Help: "Findings raised by code.",
		}, []string{"code"}),
		erasures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "abide_erasure_steps_total", Help: "Steps of erasures completed.",
		}, []string{"step"}),
		ledger: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "abide_restore_ledger_failures_total", Help: "Times the restore ledger did not take a record; the change was not acknowledged.",
		}),
		gap: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "abide_restored_gap", Help: "1 while what people decided before a restore is not known, and whatever rests on it is denied.",
		}),
		tidy: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "abide_housekeeping_total", Help: "What ended requests left behind, removed or settled: answers, claims, confirmed, orphans, segments.",
		}, []string{"what"}),
		untidy: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "abide_housekeeping_failures_total", Help: "Rounds of housekeeping that did not end.",
		}),
		orphans: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "abide_orphan_keys", Help: "Subjects of whom there are keys and nothing else, that wait to be collected.",
		}),
	}
	m.keys = newKeyGauges(reg)
	if reg != nil {
		reg.MustRegister(m.ledger, m.gap, m.tidy, m.untidy, m.orphans)
		reg.MustRegister(m.decisions, m.changes, m.conflicts, m.looks, m.batches, m.refused, m.findings, m.erasures)
	}
	return m
}

func (m *metrics) decided(act, effect string) { m.decisions.WithLabelValues(act, effect).Inc() }
func (m *metrics) changed(op operation, result string) {
	m.changes.WithLabelValues(string(op), result).Inc()
}
func (m *metrics) ledgerFailed()       { m.ledger.Inc() }
func (m *metrics) conflict()           { m.conflicts.Inc() }
func (m *metrics) spoolFailed()        { m.refused.Inc() }
func (m *metrics) finding(code string) { m.findings.WithLabelValues(code).Inc() }
func (m *metrics) erasure(step string) { m.erasures.WithLabelValues(step).Inc() }

func (m *metrics) spooled(n int) {
	m.looks.Add(float64(n))
	m.batches.Observe(float64(n))
}

func (m *metrics) orphansNoted(n int) { m.orphans.Set(float64(n)) }

func (m *metrics) tidied(t Tidied, err error) {
	for what, n := range map[string]int{"answers": t.Answers, "claims": t.Claims, "confirmed": t.Confirmed, "orphans": t.Orphans, "segments": t.Segments} {
		m.tidy.WithLabelValues(what).Add(float64(n))
	}
	if err != nil {
		m.untidy.Inc()
	}
}
