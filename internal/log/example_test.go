package log_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
)

var update = flag.Bool("update", false, "rewrite testdata/example.txt")

// TestExample makes the example of spec/log.md: a key from the seed 00…1f, and
// three entries, SHA-256 of "one", "two" and "three".
func TestExample(t *testing.T) {
	const name = "privacy.shop.example/log"
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(i)
	}
	private := ed25519.NewKeyFromSeed(seed)
	vkey := must(note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey)))(t)
	id := strings.Split(vkey, "+")[1]
	signer := must(note.NewSigner("PRIVATE+KEY+" + name + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))))(t)

	tree := log.NewTestTree()
	var bundle, tile string
	for _, text := range []string{"one", "two", "three"} {
		entry := sha256.Sum256([]byte(text))
		tree.Append(entry[:])
		leaf := audit.LeafHash(entry[:])
		bundle += "0020 " + hex.EncodeToString(entry[:]) + "\n"
		tile += hex.EncodeToString(leaf[:]) + "\n"
	}
	c := audit.Checkpoint{Origin: name, Size: 3, Root: tree.Leave()}
	checkpoint := must(note.Sign(&note.Note{Text: c.Text()}, signer))(t)
	if got := hex.EncodeToString(tree.Tile(storage.TileKey{Level: storage.EntriesLevel})); got != strings.NewReplacer(" ", "", "\n", "").Replace(bundle) {
		t.Errorf("the bundle is %s", got)
	}
	if got := hex.EncodeToString(tree.Tile(storage.TileKey{})); got != strings.ReplaceAll(tile, "\n", "") {
		t.Errorf("the tile is %s", got)
	}
	want := fmt.Sprintf("key\n%s\n\ncheckpoint\n%s\ntile/entries/000.p/3\n%s\ntile/0/000.p/3\n%s", vkey, checkpoint, bundle, tile)
	const file = "testdata/example.txt"
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(must(os.ReadFile(file))(t)); got != want {
		t.Errorf("%s is\n%s\nwant\n%s", file, got, want)
	}
	spec := string(must(os.ReadFile("../../spec/log.md"))(t))
	for _, text := range []string{vkey + "\n", string(checkpoint)} {
		if !strings.Contains(spec, text) {
			t.Errorf("spec/log.md does not show\n%s", text)
		}
	}
}
