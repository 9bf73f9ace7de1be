package pg

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// On makes and starts a server on a copy of the files of another, as they are:
// it recovers from whatever they say.
func On(files string, settings ...string) (*Server, error) {
	return begin(Setup{Settings: settings}, func(s *Server, _ string) *exec.Cmd {
		return exec.Command("sh", "-c", `cp -r "$0" "$1" && chmod -R go-rwx "$1"`, files, s.data())
	})
}

// Shutdown ends the server as an operator does: it writes a checkpoint. Its
// files stay until Stop.
func (s *Server) Shutdown() error {
	err := s.cmd.Process.Signal(syscall.SIGINT)
	<-s.done
	return err
}

// Traced starts a server that was shut down on the same files and port, with
// its system calls recorded by a tracer: strace and arguments. What is written
// to said gets into the record in its turn. Closing said ends the server
// without farewell, and Traced's wait returns when the record is complete.
func (s *Server) Traced(tracer []string, settings ...string) (said io.WriteCloser, wait func() error, err error) {
	bin, err1 := binaries()
	as, err2 := unprivileged()
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	// cat writes to its standard output what it is told, among the calls of the
	// server's processes. When nobody is left to tell it anything, all end.
	script := `"$@" </dev/null >&2 & server=$!; cat; kill -QUIT $server; wait $server; exit 0`
	cmd := exec.Command(tracer[0], append(append(tracer[1:], "sh", "-c", script, "sh", filepath.Join(bin, "postgres")), s.args(settings)...)...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: as}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stderr = w
	said, err = cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	w.Close()
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	ready := make(chan bool, 1)
	go s.log.follow(r, ready)
	select {
	case ok := <-ready:
		if ok {
			return said, cmd.Wait, nil
		}
	case <-time.After(time.Minute):
	}
	err = errors.Join(said.Close(), cmd.Wait())
	return nil, nil, errors.Join(errors.New("the traced server did not start:\n"+s.log.String()), err)
}
