package master_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/keys/master"
)

// standIn is a key service with named keys of several versions, whatever its
// protocol.
type standIn struct {
	mu       sync.Mutex
	versions map[string][]cipher.AEAD // by key; nil: destroyed
	denied   bool
	bound    []string // associated data as it arrived
	calls    int
}

func newStandIn(names ...string) *standIn {
	s := &standIn{versions: map[string][]cipher.AEAD{}}
	for _, n := range names {
		s.rotate(n)
	}
	return s
}

func (s *standIn) rotate(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, len(s.versions[name])))
	block, _ := aes.NewCipher(key[:])
	gcm, _ := cipher.NewGCMWithRandomNonce(block)
	s.versions[name] = append(s.versions[name], gcm)
}

func (s *standIn) destroy(name string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions[name][version] = nil
}

func (s *standIn) deny(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = yes
}

// do answers with a status as a service would.
func (s *standIn) do(name string, encrypt bool, in, ad []byte) ([]byte, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.bound = append(s.bound, string(ad))
	v := s.versions[name]
	switch {
	case s.denied:
		return nil, http.StatusForbidden
	case len(v) == 0:
		return nil, http.StatusNotFound
	case encrypt:
		n := len(v) - 1
		return append([]byte{byte(n)}, v[n].Seal(nil, nil, in, ad)...), 0
	case len(in) == 0 || int(in[0]) >= len(v) || v[in[0]] == nil:
		return nil, http.StatusBadRequest
	}
	out, err := v[in[0]].Open(nil, nil, in[1:], ad)
	if err != nil {
		return nil, http.StatusBadRequest
	}
	return out, 0
}

// aws speaks AWS JSON 1.1 as Key Management Service does, and wants requests
// signed with Signature Version 4.
func (s *standIn) aws(w http.ResponseWriter, r *http.Request) {
	var in struct {
		KeyID                     string `json:"KeyId"`
		Plaintext, CiphertextBlob []byte
		EncryptionContext         map[string]string
	}
	fail := func(status int, code string) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, code)
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=") || r.Header.Get("X-Amz-Date") == "" {
		fail(http.StatusForbidden, "InvalidSignatureException")
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(http.StatusBadRequest, "ValidationException")
		return
	}
	ctx, _ := json.Marshal(in.EncryptionContext)
	encrypt := r.Header.Get("X-Amz-Target") == "TrentService.Encrypt"
	body := in.CiphertextBlob
	if encrypt {
		body = in.Plaintext
	}
	out, status := s.do(in.KeyID, encrypt, body, ctx)
	switch status {
	case 0:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": in.KeyID, map[bool]string{true: "CiphertextBlob", false: "Plaintext"}[encrypt]: out})
	case http.StatusForbidden:
		fail(http.StatusBadRequest, "AccessDeniedException")
	case http.StatusNotFound:
		fail(http.StatusBadRequest, "NotFoundException")
	default:
		fail(http.StatusBadRequest, "InvalidCiphertextException")
	}
}

// google speaks the REST form of Cloud KMS, with its checksums.
func (s *standIn) google(w http.ResponseWriter, r *http.Request) {
	name, verb, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), ":")
	var in struct {
		Plaintext, Ciphertext, AdditionalAuthenticatedData string
	}
	bytesOf := func(s string) []byte {
		out, _ := base64.URLEncoding.DecodeString(s)
		return out
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body := in.Ciphertext
	if verb == "encrypt" {
		body = in.Plaintext
	}
	out, status := s.do(name, verb == "encrypt", bytesOf(body), bytesOf(in.AdditionalAuthenticatedData))
	w.Header().Set("Content-Type", "application/json")
	if status != 0 {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":"no"}}`, status)
		return
	}
	sum := fmt.Sprint(crc32.Checksum(out, crc32.MakeTable(crc32.Castagnoli)))
	if verb == "encrypt" {
		_ = json.NewEncoder(w).Encode(map[string]any{"name": name + "/cryptoKeyVersions/1", "ciphertext": out, "ciphertextCrc32c": sum,
			"verifiedPlaintextCrc32c": true, "verifiedAdditionalAuthenticatedDataCrc32c": true})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"plaintext": out, "plaintextCrc32c": sum})
}

// vault speaks the transit engine of HashiCorp Vault.
func (s *standIn) vault(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var in struct {
		Plaintext, Ciphertext string
		AssociatedData        string `json:"associated_data"`
	}
	answer := func(status int, data map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if data == nil {
			_, _ = io.WriteString(w, `{"errors":["no"]}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/")
	if r.Header.Get("X-Vault-Token") != "good" {
		answer(http.StatusForbidden, nil)
		return
	}
	if json.Unmarshal(raw, &in) != nil || len(parts) != 2 {
		answer(http.StatusBadRequest, nil)
		return
	}
	ad, _ := base64.StdEncoding.DecodeString(in.AssociatedData)
	encrypt := parts[0] == "encrypt"
	text := strings.TrimPrefix(in.Ciphertext, "vault:v1:")
	if encrypt {
		text = in.Plaintext
	}
	body, _ := base64.StdEncoding.DecodeString(text)
	out, status := s.do(parts[1], encrypt, body, ad)
	switch {
	case status != 0:
		answer(status, nil)
	case encrypt:
		answer(http.StatusOK, map[string]any{"ciphertext": "vault:v1:" + base64.StdEncoding.EncodeToString(out)})
	default:
		answer(http.StatusOK, map[string]any{"plaintext": base64.StdEncoding.EncodeToString(out)})
	}
}

const (
	arn    = "arn:aws:kms:eu-central-1:111122223333:key/one"
	arn2   = "arn:aws:kms:eu-central-1:111122223333:key/two"
	google = "projects/p/locations/l/keyRings/r/cryptoKeys/"
)

// protocol is one service: how to reach its stand-in, and its keys.
type protocol struct {
	start      func(t *testing.T, s *standIn) (env map[string]string, stop func())
	one, two   string // URIs
	name, none string // name of the first key; URI of one that is not there
}

func serve(t *testing.T, tls bool, h http.HandlerFunc) *httptest.Server {
	server := httptest.NewUnstartedServer(h)
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

func protocols(t *testing.T) map[string]*protocol {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	all := map[string]*protocol{
		"aws": {one: "aws-kms://" + arn, two: "aws-kms://" + arn2, name: arn, none: "aws-kms://" + arn + "-none",
			start: func(t *testing.T, s *standIn) (map[string]string, func()) {
				server := serve(t, false, s.aws)
				return map[string]string{"AWS_ENDPOINT_URL_KMS": server.URL}, server.Close
			}},
		"google": {one: "gcp-kms://" + google + "one", two: "gcp-kms://" + google + "two", name: google + "one", none: "gcp-kms://" + google + "none",
			start: func(t *testing.T, s *standIn) (map[string]string, func()) {
				server := serve(t, false, s.google)
				return map[string]string{"ABIDE_GCP_KMS_ENDPOINT": server.URL}, server.Close
			}},
	}
	v := &protocol{name: "one"}
	v.start = func(t *testing.T, s *standIn) (map[string]string, func()) {
		server := serve(t, true, s.vault)
		ca := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		at := "hcvault://" + server.Listener.Addr().String() + "/transit/keys/"
		v.one, v.two, v.none = at+"one", at+"two", at+"none"
		return map[string]string{"VAULT_TOKEN": "good", "VAULT_CACERT": ca}, server.Close
	}
	all["vault"] = v
	return all
}

func open(t *testing.T, uri string, env map[string]string) keys.Master {
	t.Helper()
	m, err := master.Open(t.Context(), uri, func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func detail(t *testing.T, what string, err error, want string) {
	t.Helper()
	if abide.ErrorDetail(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestKeyServices(t *testing.T) {
	for name, p := range protocols(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := newStandIn(arn, arn2, google+"one", google+"two", "one", "two")
			env, stop := p.start(t, s)
			key := open(t, p.one, env)
			place := keys.FilePlace(filepath.Join(t.TempDir(), "keyring.json"))
			ring, err := keys.CreateAt(ctx, place, key)
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := place.Read(ctx)
			if bytes.Contains(raw, []byte("keyData")) {
				t.Error("keysets lie in the clear")
			}
			// Store and keyset are bound in every call.
			for i, ad := range s.bound {
				if len(ad) < 16 {
					t.Errorf("call %d binds %q", i, ad)
				}
			}
			again, err := keys.OpenAt(ctx, place, open(t, p.one, env))
			if err != nil || again.Store() != ring.Store() || again.PrimaryKEK() != ring.PrimaryKEK() {
				t.Fatalf("open again: %v", err)
			}
			// Once at start, and never per subject.
			before := s.calls
			w, err := again.Wrap(abide.SubjectID{1}, 1, 1, make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := again.Unwrap(w); err != nil || s.calls != before {
				t.Errorf("a subject's key cost %d calls (%v)", s.calls-before, err)
			}
			swapped := bytes.Replace(raw, []byte(ring.Store().String()), []byte(strings.Repeat("ab", 16)), 1)
			other := keys.FilePlace(filepath.Join(t.TempDir(), "keyring.json"))
			if err := other.Write(ctx, swapped, 1, 0); err != nil {
				t.Fatal(err)
			}
			_, err = keys.OpenAt(ctx, other, key)
			detail(t, "keyring given to another store", err, "master_does_not_open")

			_, err = keys.OpenAt(ctx, place, open(t, p.two, env))
			detail(t, "another key", err, "other_master_key")
			_, err = keys.OpenAt(ctx, place, keys.Master{URI: p.one, AEAD: open(t, p.two, env).AEAD})
			detail(t, "another key under the name of the first", err, "master_does_not_open")
			_, err = open(t, p.none, env).AEAD.EncryptWithContext(ctx, []byte("x"), []byte("y"))
			detail(t, "no such key", err, "master_missing")

			// The service rotates its key: the old version opens, what is written
			// next is under the new one, and then the old one may go.
			s.rotate(p.name)
			if again, err = keys.OpenAt(ctx, place, key); err != nil {
				t.Fatal(err)
			}
			if _, err := again.RotateKEK(ctx, time.Unix(0, 0)); err != nil {
				t.Fatal(err)
			}
			s.destroy(p.name, 0)
			if _, err := keys.OpenAt(ctx, place, key); err != nil {
				t.Errorf("the keyring still needs the old version: %v", err)
			}
			stale := keys.FilePlace(filepath.Join(t.TempDir(), "old.json"))
			if err := stale.Write(ctx, raw, 1, 0); err != nil {
				t.Fatal(err)
			}
			_, err = keys.OpenAt(ctx, stale, key)
			detail(t, "an old copy of the keyring, after its version was destroyed", err, "master_does_not_open")

			s.deny(true)
			_, err = keys.OpenAt(ctx, place, key)
			detail(t, "denied", err, "master_denied")
			s.deny(false)
			stop()
			_, err = keys.OpenAt(ctx, place, key)
			detail(t, "unreachable", err, "master_unreachable")
		})
	}
}

func TestMasterInAFile(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "master")
	_, err := master.Open(ctx, "file:"+path, os.Getenv)
	detail(t, "no file", err, "master_missing")
	if err := os.WriteFile(path, make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := master.Open(ctx, "file:"+path, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	place := keys.FilePlace(filepath.Join(dir, "keyring.json"))
	if _, err := keys.CreateAt(ctx, place, m); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.OpenAt(ctx, place, m); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = master.Open(ctx, "file:"+path, os.Getenv)
	detail(t, "readable by others", err, "master_not_opened")
	for _, uri := range []string{"", "kms://x", "aws-kms://x", "hcvault:x"} {
		if _, err := master.Open(ctx, uri, func(string) string { return "" }); err == nil {
			t.Errorf("%q was opened", uri)
		}
	}
}
