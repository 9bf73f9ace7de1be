package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/log"
)

// How far the restore ledger was seen is remembered beside the published log,
// which is in no backup and outlives the database: a ledger older than what is
// published is noticed even if the database was put back with it.
const memoryPeriod = 5 * time.Second

// ledgerMemory is the file: what was seen, and the store's keyed hash over it.
type ledgerMemory struct {
	Seen   json.RawMessage `json:"seen"`
	Digest string          `json:"digest"`
}

func memoryDigest(ring *keys.Keyring, seen []byte) (string, error) {
	sum, err := ring.Digest(append([]byte("abide/ledger-seen/1\x00"), seen...))
	return hex.EncodeToString(sum), err
}

// recallLedger reads what is remembered; nil if nothing is, or it cannot be
// read, of which operators are told.
func (m *Main) recallLedger(ctx context.Context, f storeFlags, ring *keys.Keyring) *engine.LedgerSeen {
	where := cmp.Or(f.place, m.Env("ABIDE_LOG_DIR"), filepath.Join(f.data, "log"))
	if !strings.HasPrefix(where, "s3://") {
		if _, err := os.Stat(where); err != nil {
			return nil // nothing was published here
		}
	}
	place, err := m.openPlace(where, f.data)
	if err == nil {
		var seen *engine.LedgerSeen
		if seen, err = readMemory(ctx, place, ring); err == nil {
			return seen
		}
	}
	fmt.Fprintln(m.Stderr, "abide: warning: what is remembered of the restore ledger beside the published log cannot be read:", err)
	return nil
}

func readMemory(ctx context.Context, place log.Place, ring *keys.Keyring) (*engine.LedgerSeen, error) {
	raw, err := place.Read(ctx, log.Beside, 8<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file ledgerMemory
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, err
	}
	digest, err := memoryDigest(ring, file.Seen)
	if err != nil {
		return nil, err
	}
	if digest != file.Digest {
		return nil, errors.New("it was changed, or is another store's")
	}
	seen := &engine.LedgerSeen{}
	return seen, json.Unmarshal(file.Seen, seen)
}

// rememberLedger keeps the memory up to date until its context ends, and once
// more then. Nodes of a store write the same.
func rememberLedger(ctx context.Context, e *engine.Engine, place log.Place, ring *keys.Keyring, logger *slog.Logger) {
	t := time.NewTicker(memoryPeriod)
	defer t.Stop()
	var last []byte
	for open := true; open; {
		select {
		case <-t.C:
		case <-ctx.Done():
			open = false
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), memoryPeriod)
		written, err := writeMemory(bounded, e, place, ring, last)
		cancel()
		if err != nil {
			logger.Warn("how far the restore ledger was seen is not noted beside the published log yet", "error", err.Error())
			continue
		}
		last = written
	}
}

// writeMemory writes what the store has seen, unless that is what was written
// last, and returns it.
func writeMemory(ctx context.Context, e *engine.Engine, place log.Place, ring *keys.Keyring, last []byte) ([]byte, error) {
	seen, err := e.LedgerSeen(ctx)
	if err != nil || seen == nil {
		return last, err
	}
	marks, err := json.Marshal(seen.Marks) // of a map: in the order of its keys
	if err != nil || bytes.Equal(marks, last) {
		return last, err
	}
	body, err := json.Marshal(seen)
	if err != nil {
		return last, err
	}
	digest, err := memoryDigest(ring, body)
	if err != nil {
		return last, err
	}
	raw, err := json.Marshal(ledgerMemory{Seen: body, Digest: digest})
	if err != nil {
		return last, err
	}
	return marks, place.PutCheckpoint(ctx, log.File{Path: log.Beside, Data: raw}, func([]byte) bool { return false })
}
