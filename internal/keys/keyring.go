package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/signature"
	"github.com/tink-crypto/tink-go/v2/tink"

	abide "github.com/abide-privacy/abide"
)

// StoreID names a store. It is random and bound into everything sealed, so
// that rows of one store never open in another.
type StoreID [16]byte

// String returns the id in hex.
func (s StoreID) String() string { return hex.EncodeToString(s[:]) }

// Keyring holds the keys of one store. It is safe for concurrent use.
type Keyring struct {
	store  StoreID
	place  Place    // nil for a ring that lives in memory only
	master Master   // zero: keysets lie in the file unencrypted
	known  []Master // keys of key services that may come to encrypt the ring

	change sync.Mutex // serialises rotations and refreshes, and guards master
	ring   atomic.Pointer[ring]
}

// ring is one immutable state of the keys; a rotation replaces it whole.
type ring struct {
	generation uint64
	sum        [sha256.Size]byte // of the bytes at rest; zero in memory
	epochs     []Epoch
	standing   standing
	handles    map[string]*keyset.Handle
	kek        tink.AEAD
	kekID      string
	keks       map[string]bool
	index      []IndexKey
	retired    []Epoch // roots of index keys that were destroyed
	envelope   tink.AEAD
	system     tink.AEAD
	suppress   *prf.Set
	signer     tink.Signer
	signID     string
	public     []PublicKey
	seals      map[uint32]bool // keys that open envelopes and system rows
}

const (
	setKEK      = "kek"
	setIndex    = "index"
	setEnvelope = "envelope"
	setSystem   = "system"
	setSuppress = "suppress"
	setSign     = "sign"
)

var templates = []struct {
	name     string
	template func() *tinkpb.KeyTemplate
}{
	{setKEK, aead.XAES256GCM192BitNonceKeyTemplate},
	{setIndex, prf.HKDFSHA256PRFKeyTemplate},
	{setEnvelope, aead.XAES256GCM192BitNonceKeyTemplate},
	{setSystem, aead.XAES256GCM192BitNonceKeyTemplate},
	{setSuppress, prf.HMACSHA256PRFKeyTemplate},
	{setSign, signature.ED25519KeyWithoutPrefixTemplate},
}

// New makes a ring of fresh keys that lives in memory only. Whatever it seals
// is lost with the process: for demonstrations and tests.
func New() (*Keyring, error) {
	k := &Keyring{}
	if _, err := rand.Read(k.store[:]); err != nil {
		return nil, fmt.Errorf("keys: no randomness: %w", err)
	}
	handles := make(map[string]*keyset.Handle, len(templates))
	for _, t := range templates {
		h, err := keyset.NewHandle(t.template())
		if err != nil {
			return nil, fmt.Errorf("keys: new %s keyset: %w", t.name, err)
		}
		handles[t.name] = h
	}
	r, err := newRing(handles, nil, nil)
	if err != nil {
		return nil, err
	}
	r.generation = 1
	r.epochs[0].Created = time.Now().UTC().Truncate(time.Second)
	k.ring.Store(r)
	return k, nil
}

func newRing(handles map[string]*keyset.Handle, epochs, retired []Epoch) (*ring, error) {
	for _, t := range templates {
		if handles[t.name] == nil {
			return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "keyring_incomplete",
				Message: "the keyring lacks its " + t.name + " keys", Hint: "restore the keyring from its backup"}
		}
	}
	r := &ring{handles: handles, epochs: slices.Clone(epochs), retired: slices.Clone(retired)}
	var errs [7]error
	r.kek, errs[0] = aead.New(handles[setKEK])
	r.envelope, errs[1] = aead.New(handles[setEnvelope])
	r.system, errs[2] = aead.New(handles[setSystem])
	r.suppress, errs[3] = prf.NewPRFSet(handles[setSuppress])
	r.index, errs[4] = indexKeys(handles[setIndex])
	r.signer, errs[5] = signature.NewSigner(handles[setSign])
	r.public, errs[6] = publicKeys(handles[setSign])
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("keys: open keysets: %w", err)
	}
	r.signID = r.public[0].ID
	r.keks = map[string]bool{}
	for i := range handles[setKEK].Len() {
		e, err := handles[setKEK].Entry(i)
		if err != nil {
			return nil, fmt.Errorf("keys: kek %d: %w", i, err)
		}
		id := keyID(e.KeyID())
		r.keks[id] = e.KeyStatus() == keyset.Enabled
		if e.IsPrimary() {
			r.kekID = id
		}
		if !slices.ContainsFunc(r.epochs, func(ep Epoch) bool { return ep.ID == id }) {
			r.epochs = append(r.epochs, Epoch{ID: id}) // a keyring older than epochs
		}
	}
	r.seals = map[uint32]bool{}
	for _, set := range []string{setEnvelope, setSystem} {
		for _, info := range handles[set].KeysetInfo().GetKeyInfo() {
			r.seals[info.GetKeyId()] = true
		}
	}
	return r, nil
}

func keyID(n uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return hex.EncodeToString(b[:])
}

// Store returns the id of the store the ring belongs to.
func (k *Keyring) Store() StoreID { return k.store }

// Close forgets the keys. Go cannot promise that no copy is left in memory;
// the ring drops every reference it has. No other method may be called after.
func (k *Keyring) Close() { k.ring.Store(nil) }

// CheckValue tells whether two rings are the same without telling a key. A
// store keeps it as a constant and refuses to open with another ring.
func (k *Keyring) CheckValue() ([]byte, error) {
	out, err := k.ring.Load().stable().ComputePRF([]byte("abide/key-check/1"+k.store.String()), 16)
	if err != nil {
		return nil, fmt.Errorf("keys: check value: %w", err)
	}
	return out, nil
}

// Suppression hashes a normalised address that must never be written to
// again. The key is its own: these hashes survive an erasure, and must not be
// comparable with blind index values, which do not.
func (k *Keyring) Suppression(category abide.Category, normal []byte) ([]byte, error) {
	msg := lengthPrefixed("abide/suppress/1", []byte(category), normal)
	out, err := k.ring.Load().stable().ComputePRF(msg, 32)
	if err != nil {
		return nil, fmt.Errorf("keys: suppression hash: %w", err)
	}
	return out, nil
}

// Digest hashes a message under a key that is never rotated, for rows that must
// be found again years later and must not be guessable: digests of requests,
// opaque names of events.
func (k *Keyring) Digest(message []byte) ([]byte, error) {
	out, err := k.ring.Load().stable().ComputePRF(lengthPrefixed("abide/digest/1", message), 32)
	if err != nil {
		return nil, fmt.Errorf("keys: digest: %w", err)
	}
	return out, nil
}

// stable is the key of hashes that must never change. Its keyset is not
// rotated: nobody could re-derive a suppression hash without the address,
// which is gone.
func (r *ring) stable() prf.PRF { return r.suppress.PRFs[r.suppress.PrimaryID] }

// lengthPrefixed joins a domain tag and parts so that no two different lists
// of parts give the same bytes.
func lengthPrefixed(tag string, parts ...[]byte) []byte {
	n := 1 + len(tag)
	for _, p := range parts {
		n += binary.MaxVarintLen32 + len(p)
	}
	out := make([]byte, 0, n)
	out = append(out, tag...)
	out = append(out, 0)
	for _, p := range parts {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}

// Place names where the ring lies, for people.
func (k *Keyring) Place() string {
	if k.place == nil {
		return "memory"
	}
	return k.place.Name()
}

// InMemory reports whether the ring lies nowhere but in this process.
func (k *Keyring) InMemory() bool { return k.place == nil }

// Master names the key of a key service that encrypts the ring; "" if none.
func (k *Keyring) Master() string {
	k.change.Lock()
	defer k.change.Unlock()
	return k.master.URI
}
