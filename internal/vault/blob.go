package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"

	abide "github.com/abide-privacy/abide"
)

// An upload's bytes lie outside of the database, in the wire format of Tink's
// streaming AEAD AES256-GCM-HKDF with segments of 64 KiB: a header (its length,
// a salt of 32 bytes, a nonce prefix of 7), then segments, each with a tag. The
// first segment is shorter by the header. A segment's nonce is the prefix, its
// number, and whether it is the last, so segments can be opened alone, and none
// can be left out, moved or added without that being seen.
//
// Tink encrypts; it offers no way to begin reading in the middle, so the
// reading side is here, and is tested against Tink's.
const (
	blobSegment  = 64 << 10
	blobPrefix   = 7
	blobHeader   = 1 + keySize + blobPrefix
	blobPlain    = blobSegment - tagSize // of every segment but the first
	maxBlob      = int64(1) << 45        // far below 2^32 segments
	maxBlobFetch = 64                    // segments fetched together, at most
)

// Blob says where the bytes of an upload are and which key they are under. It
// stands in the sealed record of its item, so whoever destroys the person's key
// destroys the upload.
type Blob struct {
	ID   abide.SubjectID // random; its name in the blob store
	Key  [keySize]byte
	Size int64 // of the plaintext, in bytes
}

// BlobOf says which item a blob belongs to. It is bound to the bytes: a blob
// put in the place of another does not open.
type BlobOf struct {
	Subject  abide.SubjectID
	Category abide.Category
	Item     abide.SubjectID
}

// NewBlob draws the id and the key of an upload.
func NewBlob() (*Blob, error) {
	b := &Blob{}
	if _, err := rand.Read(b.ID[:]); err != nil {
		return nil, fmt.Errorf("vault: no randomness: %w", err)
	}
	if _, err := rand.Read(b.Key[:]); err != nil {
		return nil, fmt.Errorf("vault: no randomness: %w", err)
	}
	return b, nil
}

// SealedSize is how many bytes a plaintext of that size takes in the store.
func SealedSize(plain int64) int64 { return blobHeader + plain + tagSize*segments(plain) }

// segments is the number of segments of a plaintext; an empty one has one too.
func segments(plain int64) int64 { return (blobHeader + plain + blobPlain - 1) / blobPlain }

func (v *Vault) blobAD(b *Blob, of BlobOf) []byte {
	return v.ad(adBlob, of.Subject).text(string(of.Category)).bytes(of.Item[:]).bytes(b.ID[:])
}

// SealBlob returns the ciphertext of src as a stream. It holds two segments in
// memory at most. An error of src is returned as it is, and then what was read
// so far is no valid ciphertext.
func (v *Vault) SealBlob(b *Blob, of BlobOf, src io.Reader) (io.Reader, error) {
	s, err := subtle.NewAESGCMHKDF(b.Key[:], "SHA256", keySize, blobSegment, 0)
	if err != nil {
		return nil, fmt.Errorf("vault: streaming cipher: %w", err)
	}
	r := &sealing{src: src, chunk: make([]byte, blobSegment/2)}
	if r.w, err = s.NewEncryptingWriter(&r.out, v.blobAD(b, of)); err != nil {
		return nil, fmt.Errorf("vault: streaming cipher: %w", err)
	}
	return r, nil
}

type sealing struct {
	src   io.Reader
	w     io.WriteCloser
	out   bytes.Buffer
	chunk []byte
	err   error
}

func (s *sealing) Read(p []byte) (int, error) {
	for s.out.Len() == 0 {
		if s.err != nil {
			return 0, s.err
		}
		n, err := s.src.Read(s.chunk)
		if n > 0 {
			if _, werr := s.w.Write(s.chunk[:n]); werr != nil {
				return 0, fmt.Errorf("vault: streaming cipher: %w", werr)
			}
		}
		if errors.Is(err, io.EOF) {
			if cerr := s.w.Close(); cerr != nil {
				return 0, fmt.Errorf("vault: streaming cipher: %w", cerr)
			}
			clear(s.chunk)
		}
		s.err = err
	}
	return s.out.Read(p)
}

// Fetch returns n bytes of a stored blob from an offset.
type Fetch func(off, n int64) (io.ReadCloser, error)

// BlobReader reads the plaintext of a blob from anywhere in it. Every byte it
// returns belongs to a segment that was authenticated whole. Not safe for
// concurrent use. The holder calls Close.
type BlobReader struct {
	b      Blob
	ad     []byte
	fetch  Fetch
	gcm    cipher.AEAD
	prefix [blobPrefix]byte

	pos    int64  // of the next byte to return
	at     int64  // number of the segment in plain; -1: none
	plain  []byte // opened segment
	sealed []byte

	body   io.ReadCloser // segments from next on, left of them
	next   int64
	left   int64
	window int64
}

// OpenBlob returns a reader of a blob whose stored bytes are fetched as they
// are wanted. If the bytes are not those that were sealed for this item, Read
// fails with the detail upload_damaged.
func (v *Vault) OpenBlob(b *Blob, of BlobOf, fetch Fetch) *BlobReader {
	return &BlobReader{b: *b, ad: v.blobAD(b, of), fetch: fetch, at: -1}
}

// BlobDamaged is the error of a blob that is not what was stored for its item.
func BlobDamaged(of BlobOf) error {
	e := damaged("upload_damaged", "the bytes of upload "+of.Item.String()+" are not those that were stored: they were changed, cut, or moved from another", string(of.Category))
	e.Hint = "run abide doctor, and restore the file from a backup of the uploads"
	return e
}

var errBlob = errors.New("vault: segment does not open")

// IsBlobDamage reports whether a read failed because of the bytes themselves.
func IsBlobDamage(err error) bool { return errors.Is(err, errBlob) }

// Read implements io.Reader.
func (r *BlobReader) Read(p []byte) (int, error) {
	if r.pos >= r.b.Size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.load((r.pos + blobHeader) / blobPlain); err != nil {
		return 0, err
	}
	n := copy(p, r.plain[r.pos-r.start(r.at):])
	r.pos += int64(n)
	return n, nil
}

// Authenticate opens the segment that holds the next byte, so that damage
// there is known before anything is released. An empty blob has one too.
func (r *BlobReader) Authenticate() error {
	return r.load(min((r.pos+blobHeader)/blobPlain, segments(r.b.Size)-1))
}

// Seek implements io.Seeker.
func (r *BlobReader) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.pos
	case io.SeekEnd:
		off += r.b.Size
	}
	if off < 0 {
		return 0, errors.New("vault: seek before the beginning")
	}
	r.pos = off
	return off, nil
}

// Close forgets the key and ends what is being fetched.
func (r *BlobReader) Close() error {
	clear(r.b.Key[:])
	clear(r.plain)
	r.gcm = nil
	return r.stop()
}

func (r *BlobReader) stop() error {
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body, r.left = nil, 0
	return body.Close()
}

// start is where the plaintext of a segment begins.
func (r *BlobReader) start(segment int64) int64 { return max(segment*blobPlain-blobHeader, 0) }

// load opens one segment.
func (r *BlobReader) load(segment int64) error {
	if r.at == segment {
		return nil
	}
	if r.gcm == nil {
		if err := r.begin(); err != nil {
			return err
		}
	}
	r.at = -1
	from, to := r.stored(segment)
	if err := r.position(segment); err != nil {
		return err
	}
	if r.sealed == nil {
		r.sealed, r.plain = make([]byte, blobSegment), make([]byte, 0, blobSegment)
	}
	sealed := r.sealed[:to-from]
	if _, err := io.ReadFull(r.body, sealed); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errBlob
		}
		return err
	}
	r.next, r.left = segment+1, r.left-1
	plain, err := r.gcm.Open(r.plain[:0], r.nonce(segment), sealed, nil)
	if err != nil {
		return errBlob
	}
	r.plain, r.at = plain, segment
	return nil
}

// stored is where the ciphertext of a segment begins and ends.
func (r *BlobReader) stored(segment int64) (from, to int64) {
	from = max(segment*blobSegment, blobHeader)
	return from, min((segment+1)*blobSegment, SealedSize(r.b.Size))
}

// position makes the next bytes of body those of the segment. Reading on
// fetches ever larger stretches; a jump begins small again.
func (r *BlobReader) position(segment int64) error {
	if r.body != nil && r.next == segment && r.left > 0 {
		return nil
	}
	if r.next != segment || r.window == 0 {
		r.window = 1
	}
	if err := r.stop(); err != nil {
		return err
	}
	r.window = min(2*r.window, maxBlobFetch)
	r.next, r.left = segment, min(r.window, segments(r.b.Size)-segment)
	from, _ := r.stored(segment)
	_, to := r.stored(segment + r.left - 1)
	var err error
	r.body, err = r.fetch(from, to-from)
	return err
}

// begin reads the header and derives the key of this ciphertext.
func (r *BlobReader) begin() error {
	body, err := r.fetch(0, blobHeader)
	if err != nil {
		return err
	}
	var header [blobHeader]byte
	_, err = io.ReadFull(body, header[:])
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errBlob
	case err != nil:
		return err
	case header[0] != blobHeader:
		return errBlob
	}
	key, err := hkdf.Key(sha256.New, r.b.Key[:], header[1:1+keySize], string(r.ad), keySize)
	if err != nil {
		return fmt.Errorf("vault: derive the key of an upload: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("vault: cipher: %w", err)
	}
	copy(r.prefix[:], header[1+keySize:])
	r.gcm, err = cipher.NewGCM(block)
	return err
}

func (r *BlobReader) nonce(segment int64) []byte {
	nonce := make([]byte, 0, nonceSize)
	nonce = append(nonce, r.prefix[:]...)
	nonce = binary.BigEndian.AppendUint32(nonce, uint32(segment))
	if segment == segments(r.b.Size)-1 {
		return append(nonce, 1)
	}
	return append(nonce, 0)
}

// SealLink seals what a short-lived link stands for, under the system key.
func (v *Vault) SealLink(plain []byte) ([]byte, error) {
	return v.ring.SealSystem(plain, v.ad(adLink, abide.SubjectID{}))
}

// OpenLink opens what SealLink sealed.
func (v *Vault) OpenLink(sealed []byte) ([]byte, error) {
	return v.ring.OpenSystem(sealed, v.ad(adLink, abide.SubjectID{}))
}

// SealPage seals where a listing goes on, under the system key.
func (v *Vault) SealPage(plain []byte) ([]byte, error) {
	return v.ring.SealSystem(plain, v.ad(adPage, abide.SubjectID{}))
}

// OpenPage opens what SealPage sealed.
func (v *Vault) OpenPage(sealed []byte) ([]byte, error) {
	return v.ring.OpenSystem(sealed, v.ad(adPage, abide.SubjectID{}))
}
