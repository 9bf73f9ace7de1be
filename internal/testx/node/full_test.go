package node_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/abide-privacy/abide/internal/testx/node"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// smallDisk carries, to a re-executed test, the directory where it may mount
// one.
const smallDisk = "ABIDE_TESTX_SMALL_DISK"

// TestDiskFull lets the disk run full under load, again and again: the file
// system is a real one, and what fails is whatever write comes first. Nothing
// acknowledged is lost, nothing is left by halves, and when there is room again
// the same process goes on by itself.
//
// The disk is a small tmpfs. To mount it the test runs itself in a mount
// namespace of its own: as root, or as the root of a user namespace.
func TestDiskFull(t *testing.T) {
	for _, engine := range []struct {
		name string
		run  func(t *testing.T, disk string)
	}{{"sqlite", fullSQLite}, {"postgres", fullPostgres}} {
		t.Run(engine.name, func(t *testing.T) {
			if disk := os.Getenv(smallDisk); disk != "" {
				must(t, syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
				must(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256m,mode=0755"))
				engine.run(t, disk)
				return
			}
			disk, err := os.MkdirTemp("", "abide-disk-")
			must(t, err)
			defer os.RemoveAll(disk)
			must(t, os.Chmod(disk, 0o755)) // the server's account must get there //nolint:gosec // nothing is in it
			cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$/^"+engine.name+"$", "-test.v")
			cmd.Env = append(os.Environ(), smallDisk+"="+disk)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			if uid := os.Geteuid(); uid != 0 {
				// PostgreSQL refuses root, that of a namespace too: the account
				// stays what it is and keeps what it needs to mount.
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
					UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
					GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}},
					AmbientCaps: []uintptr{capSysAdmin}}
			}
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			must(t, err)
		})
	}
}

// capSysAdmin is CAP_SYS_ADMIN (linux/capability.h).
const capSysAdmin = 21

// fullSQLite has data, keys and write-ahead logs on the small disk. The keyring
// is there too.
func fullSQLite(t *testing.T, disk string) {
	full(t, disk, node.Deployment{Dir: filepath.Join(disk, "node")}, func() {})
}

// fullPostgres has a whole server on the small disk. A server that cannot write
// its own log ends; it is started again when there is room.
func fullPostgres(t *testing.T, disk string) {
	plain(t) // built elsewhere
	t.Setenv("TMPDIR", disk)
	server, err := pg.Start("max_wal_size=64MB", "min_wal_size=32MB")
	must(t, err)
	defer server.Stop()
	server.Exec(t, "CREATE DATABASE data")
	url := server.URL("data")
	full(t, disk, node.Deployment{Dir: t.TempDir(), Data: url, Keys: url}, func() {
		_ = server.Crash(false) // it may have ended by itself
		must(t, server.Restart())
	})
}

// full fills the disk up to a little under a running node, waits until it was
// refused often, makes room, and wants the node to go on.
func full(t *testing.T, disk string, d node.Deployment, revive func()) {
	times := 2
	if long() {
		times = 50
	}
	must(t, os.MkdirAll(d.Dir, 0o700))
	cmd := node.Job{Deployment: d, Do: "load", Clients: 8, Refusals: true}.Command(plain(t))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	ballast := filepath.Join(disk, "ballast")
	filled, refused, since, isFull, dead, why := 0, 0, 0, false, false, map[string]int{}
	all := listen(t, out, func(a node.Ack) {
		switch {
		case dead: // said before it was killed
		case a.Op == "refused":
			if why[a.Why]++; !isFull {
				break
			}
			if refused++; refused%20 == 0 {
				isFull, since = false, 0
				must(t, os.Remove(ballast))
				revive()
			}
		case isFull: // there was room enough for this one
		default:
			if since++; since < 50 {
				break
			}
			if filled == times {
				dead = true
				must(t, cmd.Process.Kill())
				break
			}
			filled, isFull = filled+1, true
			fill(t, disk, ballast)
		}
	})
	_ = cmd.Wait() // killed: always an error
	if !dead {
		t.Fatalf("the node ended by itself, the disk having been full %d times", filled)
	}
	if why["disk_full"] == 0 {
		t.Errorf("no call was told that the disk is full: %v", why)
	}
	acks := slices.DeleteFunc(all, func(a node.Ack) bool { return a.Op == "refused" })
	r := afterKill(t, d, acks)
	t.Logf("the disk full %d times, %d acknowledged operations, 0 lost, refused: %v; %s", filled, len(acks), why, r)
}

// fill leaves 100 kB on the disk, or less if the node was faster.
func fill(t *testing.T, disk, ballast string) {
	t.Helper()
	f, err := os.Create(ballast)
	must(t, err)
	defer f.Close()
	for {
		var fs syscall.Statfs_t
		must(t, syscall.Statfs(disk, &fs))
		take := int64(fs.Bavail)*fs.Bsize - 100<<10
		if take <= 0 {
			return
		}
		// The node writes meanwhile and may have taken the room.
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, take); !errors.Is(err, syscall.ENOSPC) {
			must(t, err)
			return
		}
	}
}
