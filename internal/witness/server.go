package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/abide-privacy/abide/audit"
)

// Options of a witness.
type Options struct {
	Cosigner *audit.Cosigner
	Logs     []string // verifier keys of the logs it witnesses; one text for each log
	// Dir holds the last checkpoint of each log, one file each. Whoever can
	// write there, or put back an older copy, can make the witness sign a fork.
	Dir string
	Log *slog.Logger // nil discards
}

// Server is a witness. It answers add-checkpoint, and shows the last checkpoint
// that it signed of each log under the hash of its origin. One process at a time
// may serve a directory; the caller sees to that.
type Server struct {
	o    Options
	logs map[string]*witnessed // by origin
	mux  *http.ServeMux
}

// witnessed is a log, and the last checkpoint that was signed of it. The mutex
// is held from the comparison with it until its successor is durable.
type witnessed struct {
	keys *audit.Keys
	file string
	mu   sync.Mutex
	last *audit.SignedCheckpoint // nil: none yet
}

// New opens a witness. It refuses a directory with a file that it did not sign
// itself, rather than to begin anew: a witness that forgets signs forks.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, logs: map[string]*witnessed{}, mux: http.NewServeMux()}
	for _, key := range o.Logs {
		keys, err := audit.NewKeys(key)
		if err != nil {
			return nil, err
		}
		origin := keys.Origin()
		if s.logs[origin] != nil {
			return nil, fmt.Errorf("witness: the log %s is named twice", origin)
		}
		w := &witnessed{keys: keys, file: filepath.Join(o.Dir, originHash(origin)+".checkpoint")}
		if err := w.load(key, o.Cosigner); err != nil {
			return nil, err
		}
		s.logs[origin] = w
	}
	s.mux.HandleFunc("POST /add-checkpoint", s.addCheckpoint)
	s.mux.HandleFunc("GET /{origin}/checkpoint", s.checkpoint)
	return s, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func originHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

func (w *witnessed) load(key string, c *audit.Cosigner) error {
	raw, err := os.ReadFile(w.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	own, err := audit.NewKeys(key, c.VerifierKey())
	if err != nil {
		return err
	}
	own.Quorum = 1
	if w.last, err = own.Open(raw); err != nil {
		return fmt.Errorf("witness: %s is not a checkpoint that this witness signed: %w", w.file, err)
	}
	return nil
}

// Latest returns the size of the last checkpoint that was signed of each log, by
// origin; -1 before the first.
func (s *Server) Latest() map[string]int64 {
	out := map[string]int64{}
	for origin, w := range s.logs {
		w.mu.Lock()
		out[origin] = -1
		if w.last != nil {
			out[origin] = w.last.Size
		}
		w.mu.Unlock()
	}
	return out
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	what   string
	size   int64 // of a conflict
}

func (r *refusal) Error() string { return r.what }

func (s *Server) addCheckpoint(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "the request is too large, or broke off", http.StatusBadRequest)
		return
	}
	lines, origin, err := s.add(raw)
	var no *refusal
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(lines)
	case errors.As(err, &no) && no.status == http.StatusConflict:
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", no.size)
	case errors.As(err, &no):
		if no.status == http.StatusUnprocessableEntity { // signed by the log: proof of what it did
			s.o.Log.Error("a log asked to sign what does not continue it", "origin", origin, "why", no.what, "request", string(raw))
		}
		http.Error(w, no.what, no.status)
	default:
		s.o.Log.Error("a checkpoint could not be kept, so it was not signed", "origin", origin, "error", err.Error())
		http.Error(w, "the checkpoint could not be kept", http.StatusInternalServerError)
	}
}

// add checks a request in the order of the specification, keeps the checkpoint,
// and returns the cosignature.
func (s *Server) add(raw []byte) (lines []byte, origin string, err error) {
	old, proof, signed, err := parseRequest(raw)
	if err != nil {
		return nil, "", &refusal{status: http.StatusBadRequest, what: "not an add-checkpoint request"}
	}
	origin, _, _ = strings.Cut(string(signed), "\n")
	log := s.logs[origin]
	if log == nil {
		return nil, "", &refusal{status: http.StatusNotFound, what: "this witness does not know the log"}
	}
	c, err := log.keys.Open(signed)
	switch {
	case errors.Is(err, &audit.Fault{Code: audit.CheckpointRoot}):
		return nil, origin, &refusal{status: http.StatusUnprocessableEntity, what: "the root of an empty log is the hash of nothing"}
	case errors.Is(err, &audit.Fault{Code: audit.CheckpointMalformed}):
		return nil, origin, &refusal{status: http.StatusBadRequest, what: "not a checkpoint"}
	case err != nil:
		return nil, origin, &refusal{status: http.StatusForbidden, what: "no valid signature of the log"}
	case old > c.Size:
		return nil, origin, &refusal{status: http.StatusBadRequest, what: "the old size is larger than the new one"}
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	last := &audit.Checkpoint{Origin: origin, Root: sha256.Sum256(nil)}
	if log.last != nil {
		last = &log.last.Checkpoint
	}
	if old != last.Size {
		return nil, origin, &refusal{status: http.StatusConflict, size: last.Size}
	}
	if err := audit.CheckConsistencyProof(last, &c.Checkpoint, proof); err != nil {
		return nil, origin, &refusal{status: http.StatusUnprocessableEntity, what: "the checkpoint does not continue the one of the old size"}
	}
	cosigned, lines, err := s.cosign(c)
	if err != nil {
		return nil, origin, err
	}
	if err := keep(log.file, cosigned); err != nil {
		return nil, origin, err
	}
	c.Note = cosigned
	log.last = c
	return lines, origin, nil
}

// cosign returns the checkpoint with the log's signatures that were verified and
// ours, and ours alone.
func (s *Server) cosign(c *audit.SignedCheckpoint) (cosigned, lines []byte, err error) {
	ours, err := note.Sign(&note.Note{Text: c.Text()}, s.o.Cosigner)
	if err != nil {
		return nil, nil, err
	}
	lines = ours[len(c.Text())+1:]
	kept, err := c.Uncosigned()
	if err != nil {
		return nil, nil, err
	}
	return append(kept, lines...), lines, nil
}

// checkpoint shows the last checkpoint that was signed.
func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	for origin, log := range s.logs {
		if originHash(origin) != r.PathValue("origin") {
			continue
		}
		log.mu.Lock()
		last := log.last
		log.mu.Unlock()
		if last == nil {
			break
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(last.Note)
		return
	}
	http.Error(w, "this witness has signed no checkpoint of such a log", http.StatusNotFound)
}

// keep writes a file whole or not at all, durably.
func keep(path string, raw []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".checkpoint-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(raw)
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
