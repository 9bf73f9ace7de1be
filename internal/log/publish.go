package log

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// Witness cosigns checkpoints (c2sp.org/tlog-witness).
type Witness interface {
	Name() string
	// Cosign returns signature lines for a checkpoint, each with its line feed. The
	// log proves what the witness asks for.
	Cosign(ctx context.Context, log *audit.Log, c *audit.SignedCheckpoint) ([]byte, error)
}

// checkpoint is the head as it is signed.
func (s *Sequencer) checkpoint() *audit.Checkpoint {
	return &audit.Checkpoint{Origin: s.head.Origin, Size: int64(s.head.Size), Root: s.head.Root}
}

// publish signs the head and shows it: outside the database first, if there is
// such a place. The head is durable, and all entries under it are.
func (s *Sequencer) publish(ctx context.Context) error {
	if s.head.Size == 0 || s.head.Size == s.shown && s.fresh && s.placedAll() && !s.askAgain() {
		return nil
	}
	signed, err := signCheckpoint(s.o.Keys, s.checkpoint())
	if err != nil {
		return err
	}
	signed = append(signed, s.cosign(ctx, signed)...)
	if err := s.place(ctx, signed); err != nil {
		return err
	}
	if err := s.o.Store.KeepCheckpoint(ctx, &storage.CheckpointRow{Log: s.head.Log, Size: s.head.Size, At: s.o.Clock().UTC(), Note: signed}); err != nil {
		return err
	}
	s.shown, s.fresh = s.head.Size, true
	return nil
}

func (s *Sequencer) placedAll() bool { return s.o.Place == nil || s.placed == s.head.Size }

// cosign asks all witnesses at once and returns the signatures of those that
// answer within the interval. A checkpoint is published without the others: what
// is not witnessed can be seen on it.
func (s *Sequencer) cosign(ctx context.Context, signed []byte) []byte {
	if len(s.o.Witnesses) == 0 {
		return nil
	}
	vkeys, err := VerifierKeys(s.o.Keys, s.head.Origin)
	if err != nil {
		return nil
	}
	keys, err := audit.NewKeys(vkeys[0])
	if err != nil {
		return nil
	}
	log := audit.NewLog(StoreSource{Store: s.o.Store, Log: s.head.Log}, keys)
	c := &audit.SignedCheckpoint{Checkpoint: *s.checkpoint(), Note: signed}
	ctx, cancel := context.WithTimeout(ctx, s.o.Interval)
	defer cancel()
	if s.cosigned != s.head.Size {
		s.cosigned, s.lines = s.head.Size, make([][]byte, len(s.o.Witnesses))
	}
	s.asked = s.o.Watch()
	lines := s.lines // of a witness that does not answer now, what it signed before stays
	var wg sync.WaitGroup
	for i, w := range s.o.Witnesses {
		wg.Go(func() {
			got, err := w.Cosign(ctx, log, c)
			if err != nil {
				s.o.Log.Warn("a witness did not cosign", "witness", w.Name(), "error", err.Error())
				return
			}
			lines[i] = got
		})
	}
	wg.Wait()
	return bytes.Join(lines, nil)
}

// witnessedEvery is how often witnesses sign the checkpoint of a log that does
// not grow: so one that was away comes to it, and the age of the newest
// signature says whether anybody still sees the log.
const witnessedEvery = time.Minute

func (s *Sequencer) askAgain() bool {
	return len(s.o.Witnesses) > 0 && s.o.Watch()-s.asked >= witnessedEvery
}

// prefix is where a log lies in its place: the first at the top, its successors
// each in a directory of their own.
func prefix(log uint64) string {
	if log == 1 {
		return ""
	}
	return strconv.FormatUint(log, 10) + "/"
}

// placePage is how many tiles are in memory on their way to the place.
const placePage = 256

// place makes every tile of the head durable in the place, and then the
// checkpoint.
func (s *Sequencer) place(ctx context.Context, signed []byte) error {
	if s.o.Place == nil {
		return nil
	}
	at := prefix(s.head.Log)
	var keys []storage.TileKey
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		tiles, err := s.o.Store.Tiles(ctx, s.head.Log, keys)
		if err != nil {
			return err
		}
		var files []File
		for i, k := range keys {
			width := widthAt(s.head.Size, k)
			data, err := cut(k, tiles[i], width)
			if err != nil {
				return damagedTree()
			}
			files = append(files, File{at + pathOf(k, width), data})
		}
		keys = keys[:0]
		return s.o.Place.Put(ctx, files)
	}
	var grown []storage.TileKey // partial before, full now
	for level := storage.EntriesLevel; level <= 0 || s.head.Size>>(8*level) > 0; level++ {
		shift := 8 * max(level, 0)
		if s.placed>>shift == s.head.Size>>shift {
			continue
		}
		first := s.placed >> shift / tileWidth
		for n := first; n*tileWidth < s.head.Size>>shift; n++ {
			k := storage.TileKey{Level: level, N: n}
			if n == first && s.placed>>shift%tileWidth != 0 && widthAt(s.head.Size, k) == tileWidth {
				grown = append(grown, k)
			}
			if keys = append(keys, k); len(keys) == placePage {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if s.placed == 0 {
		if err := s.placeKey(ctx, at); err != nil {
			return err
		}
	}
	mine := int64(s.head.Size)
	if err := s.o.Place.PutCheckpoint(ctx, File{at + "checkpoint", signed}, func(there []byte) bool { return sizeOf(there) > mine }); err != nil {
		return err
	}
	s.placed = s.head.Size
	return s.tidy(ctx, at, grown)
}

func (s *Sequencer) placeKey(ctx context.Context, at string) error {
	vkeys, err := VerifierKeys(s.o.Keys, s.head.Origin)
	if err != nil {
		return err
	}
	return s.o.Place.Put(ctx, []File{{at + "key", []byte(strings.Join(vkeys, "\n") + "\n")}})
}

// tidy removes the partial forms of tiles that are full, which are published by
// now. What a crash leaves is room that is wasted.
func (s *Sequencer) tidy(ctx context.Context, at string, full []storage.TileKey) error {
	var paths []string
	for _, k := range full {
		for w := 1; w < tileWidth; w++ {
			paths = append(paths, at+pathOf(k, w))
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return s.o.Place.Remove(ctx, paths)
}

// sizeOf is the size that a checkpoint says, whoever signed it; -1 for none.
func sizeOf(raw []byte) int64 {
	text, _, _ := bytes.Cut(raw, []byte("\n\n"))
	c, err := audit.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		return -1
	}
	return c.Size
}

// checkKept refuses to go on beside a checkpoint in the database that the log
// did not sign, or that the tree does not continue.
func (s *Sequencer) checkKept(ctx context.Context, kept *storage.CheckpointRow) error {
	if kept == nil {
		return nil
	}
	c, err := OpenCheckpoint(s.o.Keys, s.head.Origin, kept.Note)
	if err != nil || c.Size != int64(kept.Size) {
		return damagedCheckpoint("in the database", err)
	}
	if kept.Size > s.head.Size {
		return forked("a checkpoint has " + strconv.FormatUint(kept.Size, 10) + " entries, the tree " + strconv.FormatUint(s.head.Size, 10))
	}
	return s.continues(ctx, c)
}

// continues checks that the tree in the database continues a checkpoint.
func (s *Sequencer) continues(ctx context.Context, c *audit.Checkpoint) error {
	err := audit.NewLog(StoreSource{Store: s.o.Store, Log: s.head.Log}, nil).CheckConsistency(ctx, c, s.checkpoint())
	var fault *audit.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fault) && (fault.Code == audit.LogForked || fault.Code == audit.ProofWrong):
		return forked("its tree does not continue the checkpoint of " + strconv.FormatInt(c.Size, 10) + " entries")
	case errors.As(err, &fault):
		return damagedTree()
	}
	return err
}

// published reads the checkpoint in the place; nil if there is none.
func (s *Sequencer) published(ctx context.Context) (*audit.Checkpoint, error) {
	raw, err := s.o.Place.Read(ctx, prefix(s.head.Log)+"checkpoint", 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := OpenCheckpoint(s.o.Keys, s.head.Origin, raw)
	if err != nil {
		return nil, damagedCheckpoint("in "+s.o.Place.Name(), err)
	}
	return c, nil
}

// reconcile brings the tree together with what was published outside.
func (s *Sequencer) reconcile(ctx context.Context) error {
	s.placed = 0
	if s.o.Place == nil {
		return nil
	}
	c, err := s.published(ctx)
	if err == nil && c == nil && s.shown > 0 {
		return notInPlace(s.o.Place, nil)
	}
	if err != nil || c == nil {
		return err
	}
	if uint64(c.Size) > s.head.Size {
		return s.adopt(ctx, c)
	}
	if err := s.continues(ctx, c); err != nil {
		return err
	}
	s.placed = uint64(c.Size)
	return nil
}
