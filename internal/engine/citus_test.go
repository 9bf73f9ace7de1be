package engine_test

import (
	"regexp"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/testx/citus"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// On a Citus cluster, if there is one (package citus), every scenario runs as
// on the other engines: with both stores spread, backed up by pg_dump at the
// coordinator and put back by pg_restore and `abide migrate --citus`.

func citusDeployment(t *testing.T) (stores, func(t *testing.T) func(t *testing.T) stores) {
	data, keys := citus.Database(t), citus.Database(t)
	return postgresAt(data, keys), func(t *testing.T) func(t *testing.T) stores {
		d, k := pg.Dump(t, data), pg.Dump(t, keys)
		return func(t *testing.T) stores { return postgresAt(citus.Restore(t, d), citus.Restore(t, k)) }
	}
}

func editableCitus(t *testing.T) (stores, func(t *testing.T) (stores, editor)) {
	data, keys := citus.Database(t), citus.Database(t)
	return postgresAt(data, keys), func(t *testing.T) (stores, editor) {
		d, k := citus.Copy(t, data), citus.Copy(t, keys)
		return postgresAt(d, k), citusEditor(d, k)
	}
}

// citusEditor is postgresEditor, with the tables gathered on one server for
// what Citus does not carry out over several: rows moved to another shard,
// values taken from there.
func citusEditor(data, keys string) editor {
	plain := postgresEditor(data, keys)
	return func(t *testing.T, inKeys bool, query string, ids ...abide.SubjectID) {
		t.Helper()
		url := map[bool]string{false: data, true: keys}[inKeys]
		if betweenShards.MatchString(query) {
			citus.Gathered(t, url, func() { plain(t, inKeys, query, ids...) })
			return
		}
		plain(t, inKeys, query, ids...)
	}
}

// betweenShards finds statements of the tests that name two people, or none.
var betweenShards = regexp.MustCompile(`(?s)\$1.*\$2|\$2.*\$1|INSERT INTO .* SELECT`)
