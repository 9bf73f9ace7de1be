package postgres

// How a distributed PostgreSQL spreads a table.
type spread string

const (
	// bySubject: sharded by subject_id, next to the subject's other tables, so
	// that a change finds all its rows on one shard.
	bySubject spread = "by subject"
	// byOwnKey: sharded by the first column of its own key.
	byOwnKey spread = "by its own key"
	// reference: small and the same on every server.
	reference spread = "reference"
	// local: on the coordinator alone.
	local spread = "local"
)

// Table says of a table what its data definition cannot: how it is spread over
// a distributed database, why it does not begin with subject_id if it does
// not, and which rights the running server needs on it. What is only ever
// appended to has no UPDATE, and no DELETE unless erasure empties it.
type Table struct {
	Name   string
	Spread spread
	Column string // by which it is sharded
	Why    string // it is not by subject
	Rights []string
}

const (
	sel = "SELECT"
	ins = "INSERT"
	upd = "UPDATE"
	del = "DELETE"
)

// tables lists every table of both databases, in the order in which they can be
// distributed: what others refer to comes first.
var tables = map[string][]Table{
	"data": {
		{Name: "subject", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, upd}},
		{Name: "item", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, upd, del}},
		{Name: "consent_event", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, del}},
		{Name: "consent_index", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, upd, del}},
		{Name: "fact", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, upd, del}},
		{Name: "idempotency", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, upd, del}},
		{Name: "erasure_job", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, upd}},
		{Name: "entry", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins}},
		{Name: "pending", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, del}},
		{Name: "look", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins}},
		{Name: "lookup", Spread: byOwnKey, Column: "index_value", Rights: []string{sel, ins, upd, del},
			Why: "it finds the subject by a value: whoever looks has no subject id yet"},
		{Name: "token", Spread: byOwnKey, Column: "hash", Rights: []string{sel, ins, upd, del},
			Why: "it finds who calls by a secret; persons may have one each"},
		{Name: "spool", Spread: byOwnKey, Column: "node", Rights: []string{sel, ins, upd},
			Why: "a batch holds looks at many subjects, so that they share one sync; it is moved to look, by subject"},
		{Name: "counter", Spread: reference, Rights: []string{sel, ins, upd},
			Why: "it counts about nobody and grows with device models and weeks"},
		{Name: "policy_version", Spread: reference, Rights: []string{sel, ins}, Why: "it grows with publications"},
		{Name: "terms", Spread: reference, Rights: []string{sel, ins}, Why: "it grows with publications"},
		{Name: "record", Spread: reference, Rights: []string{sel, ins, upd, del}, Why: "it grows with contracts, members and staff"},
		{Name: "meta", Spread: reference, Rights: []string{sel, ins}, Why: "it holds the store's few constants"},
		{Name: "policy_epoch", Spread: local, Rights: []string{sel, upd},
			Why: "its one row decides which policy binds and which index keys are in force: a copy that lags would let an old one permit"},
		{Name: "log_head", Spread: local, Rights: []string{sel, ins, upd}, Why: "one row decides who is the sequencer and how large the tree is"},
		{Name: "tile", Spread: local, Rights: []string{sel, ins, upd}, Why: "a tile is written in one transaction with the head; it holds hashes of all people's entries"},
		{Name: "leaf_map", Spread: local, Rights: []string{sel, ins, upd}, Why: "a row is written in one transaction with the head; it names entries of many people"},
		{Name: "checkpoint", Spread: local, Rights: []string{sel, ins, upd, del}, Why: "every node serves the same one"},
	},
	"keys": {
		{Name: "subject_key", Spread: bySubject, Column: subjectID, Rights: []string{sel, ins, upd, del}},
		{Name: "key_meta", Spread: reference, Rights: []string{sel, ins}, Why: "it holds the store's few constants"},
		{Name: "kek_fence", Spread: local, Rights: []string{sel, ins},
			Why: "it names the key-encryption keys that are given up: a copy that lags would let one more key be wrapped by them"},
		{Name: "keyring", Spread: local, Rights: []string{sel, ins, upd}, Why: "it is one row, compared and set"},
	},
}

const subjectID = "subject_id"

// migrationTable holds which migrations a database has. Only the owner writes it.
func migrationTable(of string) string { return "abide_" + of + "_migration" }
