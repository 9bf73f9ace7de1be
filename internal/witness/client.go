package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/abide-privacy/abide/audit"
)

// Client asks one witness to sign checkpoints of one log.
type Client struct {
	url      string
	key      string
	verifier note.Verifier
	http     *http.Client

	mu    sync.Mutex
	state Status
}

// Status is what a client knows of its witness.
type Status struct {
	Witness string    `json:"witness"`
	Size    int64     `json:"size"`             // of the last checkpoint that it signed
	At      time.Time `json:"at,omitzero"`      // when it did
	Problem string    `json:"problem,omitzero"` // why it did not sign the last one
	// Refused says that the witness has seen another history of the log: this
	// is not mended by asking again.
	Refused bool `json:"refused"`
}

// ErrRefused says that the witness holds another history of the log than the
// one that was to be signed.
var ErrRefused = errors.New("witness: it has seen another history of this log")

// NewClient returns a client of the witness at a submission prefix, under its
// verifier key. A nil client takes one with a time limit.
func NewClient(prefix, vkey string, client *http.Client) (*Client, error) {
	u, err := url.Parse(prefix)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("witness: the URL of a witness begins with https:// and has no query")
	}
	v, err := audit.NewCosignatureVerifier(vkey)
	if err != nil {
		return nil, err
	}
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	return &Client{url: strings.TrimRight(prefix, "/"), key: vkey, verifier: v, http: client, state: Status{Witness: v.Name()}}, nil
}

// Name is the name in the witness's key.
func (c *Client) Name() string { return c.verifier.Name() }

// VerifierKey is the witness's key.
func (c *Client) VerifierKey() string { return c.key }

// Status returns what is known of the witness.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Cosign asks for the signature of a checkpoint, proving from the log's tiles
// what the witness wants proved, and returns the lines that it answered with and
// that verify. It may be called again after any error.
func (c *Client) Cosign(ctx context.Context, log *audit.Log, signed *audit.SignedCheckpoint) ([]byte, error) {
	lines, at, err := c.ask(ctx, log, signed)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.state.Problem, c.state.Refused = err.Error(), errors.Is(err, ErrRefused)
		return nil, err
	}
	c.state = Status{Witness: c.state.Witness, Size: signed.Size, At: at}
	return lines, nil
}

func (c *Client) ask(ctx context.Context, log *audit.Log, signed *audit.SignedCheckpoint) ([]byte, time.Time, error) {
	old := min(c.Status().Size, signed.Size)
	// The witness may have signed for another node, or before a restart, since
	// this one last knew: it says where it stands, and that may move once more.
	for range 3 {
		proof, err := log.ProveConsistency(ctx, &signed.Checkpoint, old)
		if err != nil {
			return nil, time.Time{}, err
		}
		status, body, err := c.post(ctx, encodeRequest(old, proof, signed.Note))
		if err != nil {
			return nil, time.Time{}, err
		}
		switch status {
		case http.StatusOK:
			return c.verify(signed, body)
		case http.StatusConflict:
			size, err := parseSize(strings.TrimSuffix(string(body), "\n"))
			if err != nil {
				return nil, time.Time{}, errors.New("witness: it answered a conflict without its size")
			}
			if size > signed.Size {
				return nil, time.Time{}, fmt.Errorf("%w: it signed %d entries, and this checkpoint has %d", ErrRefused, size, signed.Size)
			}
			old = size
		case http.StatusUnprocessableEntity:
			return nil, time.Time{}, fmt.Errorf("%w: the checkpoint does not continue what it signed", ErrRefused)
		default:
			return nil, time.Time{}, fmt.Errorf("witness: it answered %d", status)
		}
	}
	return nil, time.Time{}, errors.New("witness: its size kept changing")
}

func (c *Client) post(ctx context.Context, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("User-Agent", "abide")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("witness: it was not reached: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxRequest))
	return res.StatusCode, raw, err
}

// verify returns the lines of the answer that are this witness's signature.
func (c *Client) verify(signed *audit.SignedCheckpoint, lines []byte) ([]byte, time.Time, error) {
	n, err := note.Open([]byte(signed.Text()+"\n"+string(lines)), note.VerifierList(c.verifier))
	if err != nil {
		return nil, time.Time{}, errors.New("witness: its answer is not its signature of this checkpoint")
	}
	at, err := audit.CosignatureTime(n.Sigs[0])
	if err != nil {
		return nil, time.Time{}, err
	}
	return fmt.Appendf(nil, "— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64), at, nil
}
