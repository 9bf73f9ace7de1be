// Package keys holds the keyring of a store: the few keys that open everything
// else. The keys of data subjects are not here; they lie in the key store,
// wrapped by a key-encryption key (KEK) of this ring.
//
// A ring has six keysets, each a Tink keyset with a primary and, after
// rotations, older keys that still open what they sealed:
//
//	kek       XAES-256-GCM  wraps subject keys; a random 24-byte nonce and a key derived per message, so that hundreds of millions of wraps are safe
//	index     HKDF-SHA-256  roots from which a blind index key per category is derived
//	envelope  XAES-256-GCM  envelopes of log entries, which name no subject
//	system    XAES-256-GCM  entries about no subject, erasure entries, certificates
//	suppress  HMAC-SHA-256  hashes of addresses never to be written to again
//	sign      Ed25519       receipts and certificates
//
// The local form is one JSON file, mode 0600. With a master key of a key
// service the same file holds the keysets encrypted: the service is asked once,
// when the ring is opened, never per subject.
//
// Every wrapped key names its KEK. Retiring a KEK from the ring makes all that
// it wrapped irrecoverable on any medium, however old.
package keys
