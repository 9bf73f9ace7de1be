package postgres

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

const (
	// maxClockSkew is how far the server's clock may be from this node's:
	// deadlines are judged by the node and compared across nodes.
	maxClockSkew = time.Second
	// minVersion is the oldest server that the tests run on.
	minVersion = 15
)

// unsafeDatabase says why nothing may be written to a database. Nothing was.
func unsafeDatabase(why, hint string) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "database_unsafe", Err: storage.ErrUnavailable,
		Message: "this PostgreSQL server cannot be written to safely: " + why, Hint: hint}
}

// safe reports nil if the server accepts durable writes and tells the time as
// this node does.
func (d *database) safe(ctx context.Context) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	var version int
	var standby bool
	var fsync, pages, commit, readOnly string
	var server int64
	var before, after time.Time
	err := d.reread(ctx, func() error {
		before = d.now()
		err := d.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(),
			current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
			current_setting('transaction_read_only'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).
			Scan(&version, &standby, &fsync, &pages, &commit, &readOnly, &server)
		after = d.now()
		return err
	})
	if err != nil {
		return err
	}
	// The server looked at its clock somewhere between before and after.
	at := time.UnixMicro(server)
	switch {
	case version < minVersion:
		return unsafeDatabase("it is older than version 15", "use PostgreSQL 15 or newer")
	case standby:
		return unsafeDatabase("it is a standby", "name the primary, or all servers with target_session_attrs=read-write in the URL")
	case fsync != "on":
		return unsafeDatabase("fsync is off", "set fsync = on: what is acknowledged must outlive a power cut")
	case pages != "on":
		return unsafeDatabase("full_page_writes is off", "set full_page_writes = on: a page that was half written cannot be repaired without")
	case commit == "off":
		return unsafeDatabase("synchronous_commit is off", "set synchronous_commit to on, or to remote_write or remote_apply with a standby")
	case readOnly != "off":
		return unsafeDatabase("it is read-only", "name the primary; is default_transaction_read_only set?")
	case at.Before(before.Add(-maxClockSkew)) || at.After(after.Add(maxClockSkew)):
		return unsafeDatabase("its clock is more than a second away from this machine's", "synchronize both clocks (NTP): deadlines are compared across machines")
	case d.pooled:
		return d.begins(ctx)
	}
	return nil
}
