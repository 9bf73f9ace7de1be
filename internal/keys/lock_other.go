//go:build !unix

package keys

import "sync"

var writing sync.Mutex

// lockFile keeps writers of this process apart; two processes must not rotate
// at once here.
func lockFile(string) (unlock func(), err error) {
	writing.Lock()
	return writing.Unlock, nil
}
