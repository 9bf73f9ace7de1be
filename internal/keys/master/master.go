// Package master opens the key that encrypts a keyring: one of a key service,
// through Tink's modules, or one in a file on another medium. It is asked when
// the keyring is read or written, never per data subject.
//
//	aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID     credentials as the AWS SDK finds them
//	gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K   application default credentials
//	hcvault://HOST:PORT/transit/keys/NAME           VAULT_TOKEN; VAULT_CACERT if need be
//	file:PATH                                       32 random bytes, mode 0600
//
// What is encrypted binds the store and the keyset as associated data (AWS:
// encryption context), so that the keyring of one store never opens as that
// of another under the same key.
package master

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	vault "github.com/hashicorp/vault/api"
	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go-gcpkms/v2/integration/gcpkms"
	"github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"
	"github.com/tink-crypto/tink-go/v2/tink"
	"google.golang.org/api/option"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
)

// timeout bounds one call of a key service.
const timeout = 20 * time.Second

// Open returns the master key that a URI names. env gives what the services'
// own tools read from the environment: VAULT_TOKEN, VAULT_CACERT, and for
// stand-ins of the services AWS_ENDPOINT_URL_KMS and ABIDE_GCP_KMS_ENDPOINT.
func Open(ctx context.Context, uri string, env func(string) string) (keys.Master, error) {
	var a tink.AEADWithContext
	var err error
	switch {
	case strings.HasPrefix(uri, "aws-kms://"):
		a, err = openAWS(ctx, uri, env)
	case strings.HasPrefix(uri, "gcp-kms://"):
		a, err = openGCP(ctx, uri, env)
	case strings.HasPrefix(uri, "hcvault://"):
		a, err = openVault(uri, env)
	case strings.HasPrefix(uri, "file:"):
		a, err = openFile(strings.TrimPrefix(uri, "file:"))
	default:
		return keys.Master{}, &abide.Error{Code: abide.CodeInvalid, Detail: "bad_master",
			Message: "this does not name a master key",
			Hint:    "use aws-kms://ARN, gcp-kms://projects/…, hcvault://HOST/transit/keys/NAME or file:PATH"}
	}
	var known *abide.Error
	if errors.As(err, &known) {
		return keys.Master{}, err
	}
	if err != nil {
		return keys.Master{}, &abide.Error{Code: abide.CodeInvalid, Detail: "master_not_opened", Err: err,
			Message: "the client of the key service cannot be set up: " + err.Error(), Hint: "check the key's name and the credentials"}
	}
	return keys.Master{URI: uri, AEAD: &service{a}}, nil
}

// service gives a call its time, and its errors a form that tells people what
// to do.
type service struct{ key tink.AEADWithContext }

func (s *service) EncryptWithContext(ctx context.Context, plain, ad []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := s.key.EncryptWithContext(ctx, plain, ad)
	return out, explain(err)
}

func (s *service) DecryptWithContext(ctx context.Context, sealed, ad []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := s.key.DecryptWithContext(ctx, sealed, ad)
	return out, explain(err)
}

// plainAEAD lifts a client that knows no context. It runs the call apart, so
// that the caller's time is kept whatever the client does.
type plainAEAD struct{ a tink.AEAD }

func (p plainAEAD) EncryptWithContext(ctx context.Context, plain, ad []byte) ([]byte, error) {
	return apart(ctx, func() ([]byte, error) { return p.a.Encrypt(plain, ad) })
}

func (p plainAEAD) DecryptWithContext(ctx context.Context, sealed, ad []byte) ([]byte, error) {
	return apart(ctx, func() ([]byte, error) { return p.a.Decrypt(sealed, ad) })
}

func apart(ctx context.Context, call func() ([]byte, error)) ([]byte, error) {
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := call()
		done <- result{out, err}
	}()
	select {
	case r := <-done:
		return r.out, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func openAWS(ctx context.Context, uri string, env func(string) string) (tink.AEADWithContext, error) {
	arn := strings.TrimPrefix(uri, "aws-kms://")
	parts := strings.Split(arn, ":")
	if len(parts) < 6 || parts[0] != "arn" || parts[2] != "kms" || parts[3] == "" {
		return nil, errors.New("the name is no ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/ID")
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(parts[3]), config.WithRetryMaxAttempts(2))
	if err != nil {
		return nil, err
	}
	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
		if at := env("AWS_ENDPOINT_URL_KMS"); at != "" {
			o.BaseEndpoint = &at
		}
	})
	return awskms.NewAEADWithContext(ctx, arn, awskms.WithKMS(client))
}

func openGCP(ctx context.Context, uri string, env func(string) string) (tink.AEADWithContext, error) {
	var own []option.ClientOption
	if at := env("ABIDE_GCP_KMS_ENDPOINT"); at != "" {
		own = append(own, option.WithEndpoint(at), option.WithHTTPClient(&http.Client{Timeout: timeout}))
	}
	c, err := gcpkms.NewClient(ctx, uri, gcpkms.WithTransport(gcpkms.TransportREST), gcpkms.WithGoogleAPIClientOptions(own...))
	if err != nil {
		return nil, err
	}
	a, err := c.GetAEAD(uri)
	if err != nil {
		return nil, err
	}
	return plainAEAD{a}, nil
}

func openVault(uri string, env func(string) string) (tink.AEADWithContext, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return nil, errors.New("the name has the form hcvault://HOST:PORT/transit/keys/NAME")
	}
	token := env("VAULT_TOKEN")
	if token == "" {
		return nil, &abide.Error{Code: abide.CodeUnauthorized, Detail: "master_denied",
			Message: "Vault needs a token", Hint: "put it in VAULT_TOKEN"}
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if path := env("VAULT_CACERT"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("VAULT_CACERT holds no certificate")
		}
	}
	client, err := vault.NewClient(&vault.Config{Address: "https://" + u.Host, Timeout: timeout, MaxRetries: 1,
		HttpClient: &http.Client{Transport: &http.Transport{TLSClientConfig: tlsConfig, Proxy: http.ProxyFromEnvironment}}})
	if err != nil {
		return nil, err
	}
	client.SetToken(token)
	a, err := hcvault.NewAEAD(u.Path, client.Logical())
	if err != nil {
		return nil, err
	}
	return plainAEAD{a}, nil
}

// openFile reads a master key kept as 32 bytes in a file, for those who have no
// key service: on a medium of its own, or in the memory of an orchestrator.
func openFile(path string) (tink.AEADWithContext, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "master_missing", Err: err,
			Message: "the file of the master key is not there",
			Hint:    "mount its medium; for a new store: (umask 077; head -c 32 /dev/urandom > FILE)"}
	}
	if err != nil {
		return nil, err
	}
	defer clear(key)
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if len(key) != 32 || st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s must be 32 bytes and readable by its owner only", path)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return fileKey{gcm}, nil
}

type fileKey struct{ gcm cipher.AEAD }

func (k fileKey) EncryptWithContext(_ context.Context, plain, ad []byte) ([]byte, error) {
	return k.gcm.Seal(nil, nil, plain, ad), nil
}

func (k fileKey) DecryptWithContext(_ context.Context, sealed, ad []byte) ([]byte, error) {
	return k.gcm.Open(nil, nil, sealed, ad)
}
