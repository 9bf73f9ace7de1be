package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
)

// LogTables is the tables of the log: heads, tiles, which entry is which leaf, and
// signed checkpoints. They do not grow with people and are in one place (on the
// coordinator of a distributed database), so growing a tree is one transaction.
//
// A log has a number, from 1. The one with the highest is the one that grows;
// others were given up and stay readable.
type LogTables interface {
	// LogHead returns the head of the log that grows. ErrNotFound: there is none.
	LogHead(ctx context.Context) (*LogHead, error)
	// LogHeads lists the heads of all logs by number.
	LogHeads(ctx context.Context) ([]LogHead, error)
	// StartLog makes a log with its first tree, and that tree's tiles and map rows,
	// and stops the one before. ErrConflict if its number is not the next.
	StartLog(ctx context.Context, h *LogHead, g *Growth) error
	// TakeLog raises the epoch for a new holder, if epoch and beat are still those
	// that were seen. ErrConflict otherwise.
	TakeLog(ctx context.Context, seen *LogHead, holder string) error
	// BeatLog shows others that the holder of an epoch is alive. ErrConflict if the
	// epoch is another one by now.
	BeatLog(ctx context.Context, log, epoch uint64) error
	// LeaveLog lets the next holder take over at once. Nothing happens if the epoch
	// is another one by now.
	LeaveLog(ctx context.Context, log, epoch uint64) error

	// GrowLog moves the head from one size to the next and writes the tiles that
	// changed and the map rows, all or nothing. ErrConflict if the log that grows is
	// not at this (log, epoch, size): then somebody else is the sequencer, or the
	// same growth happened already.
	GrowLog(ctx context.Context, g *Growth) error
	// Tiles returns tiles by their keys, in that order; nil for one that is not there.
	Tiles(ctx context.Context, log uint64, keys []TileKey) ([][]byte, error)
	// TileKeys pages through a log's tiles by key: those after the one given.
	TileKeys(ctx context.Context, log uint64, after *TileKey, limit int) ([]TileKey, error)

	// LeafMaps returns map rows with First >= from, in order.
	LeafMaps(ctx context.Context, log, from uint64, limit int) ([]LeafMap, error)
	// LeafMapsSince is LeafMaps from the first row that was made at a time or later.
	LeafMapsSince(ctx context.Context, log uint64, at time.Time, limit int) ([]LeafMap, error)
	// LeafMapOf returns the row of a leaf. ErrNotFound if no row holds it.
	LeafMapOf(ctx context.Context, log, leaf uint64) (*LeafMap, error)
	// Unsettled returns map rows whose sources still wait, oldest first, of any log.
	Unsettled(ctx context.Context, limit int) ([]LeafMap, error)
	// Settle removes the row's entries from pending, writes into its spool rows
	// which leaf is their first, and then marks the row. It may be repeated.
	Settle(ctx context.Context, m *LeafMap) error

	// Unlogged returns the leaves of spool rows that no tree holds yet, by key
	// order, after a key.
	Unlogged(ctx context.Context, after SpoolKey, limit int) ([]SpoolLeaves, error)
	// SpoolLeaf returns the first leaf of a spool row. ErrNotFound if there is no
	// such row, or no tree holds it yet.
	SpoolLeaf(ctx context.Context, k SpoolKey) (log, leaf uint64, err error)

	// KeepCheckpoint keeps a signed checkpoint, in the place of one of the same
	// size, and forgets those of its log that more than CheckpointsKept larger ones
	// follow.
	KeepCheckpoint(ctx context.Context, c *CheckpointRow) error
	// Checkpoint returns the largest checkpoint of a log. ErrNotFound if none.
	Checkpoint(ctx context.Context, log uint64) (*CheckpointRow, error)
	// Checkpoints returns the checkpoints of a log that are kept, by size.
	Checkpoints(ctx context.Context, log uint64) ([]CheckpointRow, error)
}

// CheckpointsKept is how many checkpoints of a log stay.
const CheckpointsKept = 120

// LogHead is the tree of a log, and who may let it grow.
type LogHead struct {
	Log    uint64
	Origin string
	Size   uint64
	Root   [32]byte
	Epoch  uint64 // counts takeovers
	Beat   uint64 // counts signs of life
	Holder string // "" if it left
}

// EntriesLevel is the level of a tile key that names a bundle of entries.
const EntriesLevel = -1

// TileKey names a tile of a log, or a bundle of entries.
type TileKey struct {
	Level int
	N     uint64
}

// Tile is a tile as far as the tree fills it: at most 256 hashes, or entries
// each behind a length of two bytes. One of a smaller width is its prefix.
type Tile struct {
	TileKey
	Data []byte
}

// Growth is the step from one tree to the next.
type Growth struct {
	Log, Epoch uint64
	From, To   uint64 // sizes
	Root       [32]byte
	Tiles      []Tile    // all that changed, whole
	Maps       []LeafMap // of the leaves From to To
}

// LeafMap says which entries became the leaves from First on.
type LeafMap struct {
	Log     uint64
	First   uint64
	Count   uint64
	At      time.Time
	Sources []LeafSource // in the order of the leaves
	Settled bool
}

// LeafSource is where some consecutive leaves came from: entries, one leaf
// each; or the looks of a spool row; or neither: then they are no rows of this
// database, but what its log says of itself, or what a restore found published
// and has no payload for.
type LeafSource struct {
	Entries []EntryKey
	Spool   SpoolKey
	Count   uint64 // of leaves; of Entries their number
	Lost    bool   // payload lost
}

// SpoolKey is the primary key of a spool row.
type SpoolKey struct {
	Node  string
	Batch uint64
}

// SpoolLeaves is the commitments of a spool row, in the order of its looks.
type SpoolLeaves struct {
	Key    SpoolKey
	Leaves [][32]byte
}

// CheckpointRow is a signed checkpoint.
type CheckpointRow struct {
	Log  uint64
	Size uint64
	At   time.Time
	Note []byte // the signed note, with cosignatures
}

// JoinLeaves and SplitLeaves are how a spool row keeps its commitments.
func JoinLeaves(looks []Look) []byte {
	out := make([]byte, 0, 32*len(looks))
	for i := range looks {
		out = append(out, looks[i].Commitment[:]...)
	}
	return out
}

// SplitLeaves is the inverse of JoinLeaves.
func SplitLeaves(b []byte) ([][32]byte, error) {
	if len(b)%32 != 0 {
		return nil, errLooks
	}
	out := make([][32]byte, len(b)/32)
	for i := range out {
		out[i] = [32]byte(b[32*i:])
	}
	return out, nil
}

// JoinSubjects and SplitSubjects are how an indexed spool row keeps whom its
// looks are about.
func JoinSubjects(rows []LookRow) []byte {
	out := make([]byte, 0, len(abide.SubjectID{})*len(rows))
	for i := range rows {
		out = append(out, rows[i].Look.Subject[:]...)
	}
	return out
}

// SplitSubjects is the inverse of JoinSubjects.
func SplitSubjects(b []byte) ([]abide.SubjectID, error) {
	const size = len(abide.SubjectID{})
	if len(b)%size != 0 {
		return nil, errLooks
	}
	out := make([]abide.SubjectID, len(b)/size)
	for i := range out {
		out[i] = abide.SubjectID(b[size*i:])
	}
	return out, nil
}

// sourcesFormat is the first byte of encoded sources.
const sourcesFormat = 1

const (
	sourceOther   = 0
	sourceLost    = 1
	sourceSpool   = 2
	sourceEntries = 3
)

var errSources = errors.New("storage: a map of leaves is damaged")

// EncodeSources packs the sources of a map row into one value.
func EncodeSources(sources []LeafSource) []byte {
	b := []byte{sourcesFormat}
	for i := range sources {
		s := &sources[i]
		switch {
		case len(s.Entries) > 0:
			b = binary.AppendUvarint(append(b, sourceEntries), uint64(len(s.Entries)))
			for _, k := range s.Entries {
				b = binary.AppendUvarint(append(b, k.Subject[:]...), k.N)
			}
		case s.Spool != SpoolKey{}:
			b = binary.AppendUvarint(append(b, sourceSpool), s.Count)
			b = binary.AppendUvarint(b, uint64(len(s.Spool.Node)))
			b = binary.AppendUvarint(append(b, s.Spool.Node...), s.Spool.Batch)
		case s.Lost:
			b = binary.AppendUvarint(append(b, sourceLost), s.Count)
		default:
			b = binary.AppendUvarint(append(b, sourceOther), s.Count)
		}
	}
	return b
}

// DecodeSources is the inverse of EncodeSources. They must account for count
// leaves.
func DecodeSources(b []byte, count uint64) ([]LeafSource, error) {
	if len(b) == 0 || b[0] != sourcesFormat {
		return nil, errSources
	}
	r := reader{b: b[1:]}
	var out []LeafSource
	var sum uint64
	for len(r.b) > 0 && !r.bad {
		tag := r.take(1)
		s := LeafSource{Count: r.uvarint()}
		switch tag[0] {
		case sourceEntries:
			if s.Count > uint64(len(r.b))/17 {
				return nil, errSources
			}
			s.Entries = make([]EntryKey, s.Count)
			for i := range s.Entries {
				copy(s.Entries[i].Subject[:], r.take(uint64(len(abide.SubjectID{}))))
				s.Entries[i].N = r.uvarint()
			}
		case sourceSpool:
			s.Spool.Node = string(r.prefixed())
			s.Spool.Batch = r.uvarint()
		case sourceLost:
			s.Lost = true
		case sourceOther:
		default:
			return nil, errSources
		}
		out = append(out, s)
		sum += s.Count
	}
	if r.bad || sum != count {
		return nil, errSources
	}
	return out, nil
}
