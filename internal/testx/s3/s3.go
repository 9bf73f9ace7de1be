// Package s3 gives tests a real S3 server: versitygw, built from its Go module
// (tools/s3server), which verifies signatures and keeps objects in a directory.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Server is a running server with one empty bucket.
type Server struct {
	Endpoint, Bucket, AccessKey, SecretKey string
	// Dir is where the server keeps the objects of the bucket, as files.
	Dir string
}

// Start starts a server on a free port; it ends with the test. The test fails,
// and never skips, if there is none to be had.
func Start(t testing.TB) Server {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	root, meta := t.TempDir(), t.TempDir()
	s := Server{Endpoint: "http://127.0.0.1:" + port, Bucket: "uploads", AccessKey: "test-access", SecretKey: "test-secret",
		Dir: filepath.Join(root, "uploads")}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(meta, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--port", "127.0.0.1:"+port, "--health", "/health", "--quiet", "posix", "--sidecar", meta, root)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	cmd.Dir, cmd.Stdout, cmd.Stderr = meta, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = log.Close()
	})
	if err := s.wait(t.Context(), ended); err != nil {
		said, _ := os.ReadFile(log.Name())
		t.Fatalf("s3: %v: %s", err, said)
	}
	return s
}

// wait returns once the server answers.
func (s Server) wait(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := &http.Client{Timeout: 5 * time.Second}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/health", nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-again.C:
		case <-ended:
			return errors.New("the server ended")
		case <-ctx.Done():
			return errors.New("the server does not answer")
		}
	}
}

// build returns the path of the server's binary, which go keeps in its cache.
func build() (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("s3: the source of this package is not known")
	}
	cmd := exec.Command("go", "tool", "-n", "versitygw")
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "tools", "s3server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("s3: building versitygw: %s", exit.Stderr)
		}
		return "", fmt.Errorf("s3: building versitygw: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
