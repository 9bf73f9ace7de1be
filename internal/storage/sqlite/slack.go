package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// SQLite's secure_delete zeroes a deleted cell where it lies, but when a tree
// is balanced, cells move to other pages and their old bytes stay behind: in
// the gap between a page's cell pointers and its cells, and behind the end of
// the payload in an overflow page. What is deleted later is not found there.
//
// So a scrub zeroes that slack itself, in the database file, after the log was
// emptied into it and while the write lock is held. SQLite never reads slack,
// so readers do not notice. The writer's cache may hold pages with their old
// slack; its connection is closed and opened anew.
//
// The file format is https://sqlite.org/fileformat2.html, sections 1.5 to 1.6
// (pages), 4 (write-ahead log).

// slack zeroes slack in one database file. It looks only at the pages that
// were logged since the last time; at first, at all.
type slack struct {
	db, wal  *os.File // wal is opened when it exists
	walPath  string
	all      bool
	pages    pageSet
	salt     [8]byte // of the log's generation that was read last
	frames   int64   // of that generation, already noted
	pageSize int64
	page     []byte
}

var errFormat = errors.New("sqlite: a page does not have the form that the scrub knows")

// openSlack keeps its own descriptor of the database until close. It must stay
// open as long as SQLite has the file open: closing any descriptor of a file
// gives up all POSIX locks that the process has on it.
func openSlack(path string) (*slack, error) {
	db, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s := &slack{db: db, walPath: path + "-wal", all: true}
	var h [2]byte
	if _, err := db.ReadAt(h[:], 16); err != nil {
		db.Close()
		return nil, err
	}
	s.pageSize = int64(binary.BigEndian.Uint16(h[:]))
	if s.pageSize == 1 {
		s.pageSize = 65536
	}
	s.page = make([]byte, s.pageSize)
	return s, nil
}

func (s *slack) close() error {
	if s.wal != nil {
		_ = s.wal.Close() // opened for reading only
	}
	return s.db.Close()
}

// note remembers which pages the log holds that were not noted yet. It is
// called after every commit, before the next can begin the log anew.
func (s *slack) note() {
	if s.all {
		return
	}
	if err := s.noteFrames(); err != nil {
		s.all = true
	}
}

func (s *slack) noteFrames() error {
	if s.wal == nil {
		f, err := os.Open(s.walPath)
		if err != nil {
			return err
		}
		s.wal = f
	}
	var head [32]byte
	switch _, err := s.wal.ReadAt(head[:], 0); {
	case err == io.EOF:
		return nil // truncated, and nothing written since
	case err != nil:
		return err
	}
	if salt := [8]byte(head[16:24]); salt != s.salt {
		s.salt, s.frames = salt, 0
	}
	for ; ; s.frames++ {
		var h [24]byte
		_, err := s.wal.ReadAt(h[:], 32+s.frames*(24+s.pageSize))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(h[8:16], s.salt[:]) {
			return nil // the rest is of an older generation
		}
		s.pages.add(binary.BigEndian.Uint32(h[:4]))
	}
}

// empty reports whether the log holds nothing that is not in the database.
func (s *slack) empty() (bool, error) {
	info, err := os.Stat(s.walPath)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return err == nil && info.Size() == 0, err
}

// zero overwrites the slack of the pages noted, durably. It reports whether
// there was any. The log must be empty and the write lock held.
func (s *slack) zero() (bool, error) {
	info, err := s.db.Stat()
	if err != nil {
		return false, err
	}
	last := uint32(info.Size() / s.pageSize)
	found := false
	visit := func(n uint32) error {
		if n > last {
			return nil
		}
		f, err := s.zeroPage(n)
		found = found || f
		return err
	}
	if s.all {
		for n := uint32(1); n <= last; n++ {
			if err := visit(n); err != nil {
				return found, err
			}
		}
	}
	for n := range s.pages.all() {
		if err := visit(n); err != nil {
			return found, err
		}
	}
	if found {
		if err := s.db.Sync(); err != nil {
			return found, err
		}
	}
	s.all, s.frames, s.salt = false, 0, [8]byte{}
	clear(s.pages)
	return found, nil
}

// Kinds of tree pages, by their first byte. An overflow or free page begins
// with the number of another page, whose first byte is 0 or 1 in any database
// under 2^25 pages.
const (
	interiorIndex = 2
	interiorTable = 5
	leafIndex     = 10
	leafTable     = 13
)

func (s *slack) zeroPage(n uint32) (bool, error) {
	p := s.page
	if err := s.read(n, p); err != nil {
		return false, err
	}
	h := 0
	if n == 1 {
		h = 100 // the file's header
	}
	kind, headLen := p[h], 8
	switch kind {
	case interiorIndex, interiorTable:
		headLen = 12
	case leafIndex, leafTable:
	default:
		return false, nil
	}
	cells := int(binary.BigEndian.Uint16(p[h+3:]))
	content := int(binary.BigEndian.Uint16(p[h+5:]))
	if content == 0 {
		content = 65536
	}
	pointers := h + headLen
	if pointers+2*cells > content || content > len(p) {
		return false, fmt.Errorf("%w: page %d", errFormat, n)
	}
	found, err := s.blank(n, p, pointers+2*cells, content)
	if err != nil {
		return found, err
	}
	for off := int(binary.BigEndian.Uint16(p[h+1:])); off != 0; { // free blocks
		if off+4 > len(p) {
			return found, fmt.Errorf("%w: page %d", errFormat, n)
		}
		next, size := int(binary.BigEndian.Uint16(p[off:])), int(binary.BigEndian.Uint16(p[off+2:]))
		if off+size > len(p) || size < 4 || next != 0 && next <= off {
			return found, fmt.Errorf("%w: page %d", errFormat, n)
		}
		f, err := s.blank(n, p, off+4, off+size)
		found = found || f
		if err != nil {
			return found, err
		}
		off = next
	}
	if kind == interiorTable {
		return found, nil
	}
	f, err := s.zeroTails(n, p, pointers, cells)
	return found || f, err
}

// zeroTails zeroes what lies behind the payloads of a page's cells in their
// last overflow pages.
func (s *slack) zeroTails(n uint32, p []byte, pointers, cells int) (bool, error) {
	found := false
	for i := range cells {
		off := int(binary.BigEndian.Uint16(p[pointers+2*i:]))
		payload, first, err := s.overflow(p, off)
		if err != nil {
			return found, fmt.Errorf("%w: page %d", err, n)
		}
		if first == 0 {
			continue
		}
		f, err := s.zeroTail(first, payload)
		found = found || f
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// overflow returns how many bytes of a cell's payload lie in overflow pages,
// and the first of these; 0 if none.
func (s *slack) overflow(p []byte, off int) (rest int64, first uint32, err error) {
	kind := p[0]
	if kind != interiorIndex && kind != leafIndex && kind != leafTable {
		kind = p[100] // page 1
	}
	if kind == interiorIndex {
		off += 4 // the left child
	}
	size, n := varint(p, off)
	off += n
	u := s.pageSize
	most := (u-12)*64/255 - 23
	if kind == leafTable {
		_, n2 := varint(p, off) // the rowid
		off += n2
		most = u - 35
	}
	if n == 0 || off > len(p) {
		return 0, 0, errFormat
	}
	if size <= most {
		return 0, 0, nil
	}
	least := (u-12)*32/255 - 23
	local := least + (size-least)%(u-4)
	if local > most {
		local = least
	}
	if off+int(local)+4 > len(p) {
		return 0, 0, errFormat
	}
	return size - local, binary.BigEndian.Uint32(p[off+int(local):]), nil
}

// varint reads SQLite's variable-length integer: at most nine bytes, high bits
// first. Its length is 0 if it runs over the end.
func varint(p []byte, off int) (v int64, n int) {
	for n < 9 && off+n < len(p) {
		b := p[off+n]
		n++
		if n == 9 {
			return v<<8 | int64(b), n
		}
		v = v<<7 | int64(b&0x7f)
		if b < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

func (s *slack) zeroTail(page uint32, rest int64) (bool, error) {
	buf := make([]byte, s.pageSize)
	for rest > s.pageSize-4 {
		if _, err := s.db.ReadAt(buf[:4], int64(page-1)*s.pageSize); err != nil {
			return false, err
		}
		rest -= s.pageSize - 4
		if page = binary.BigEndian.Uint32(buf); page == 0 {
			return false, errFormat
		}
	}
	if err := s.read(page, buf); err != nil {
		return false, err
	}
	return s.blank(page, buf, 4+int(rest), len(buf))
}

func (s *slack) read(n uint32, p []byte) error {
	_, err := s.db.ReadAt(p, int64(n-1)*s.pageSize)
	return err
}

// blank zeroes bytes from to to of a page, if there is anything.
func (s *slack) blank(n uint32, p []byte, from, to int) (bool, error) {
	dirty := false
	for _, b := range p[from:to] {
		if b != 0 {
			dirty = true
			break
		}
	}
	if !dirty {
		return false, nil
	}
	clear(p[from:to])
	_, err := s.db.WriteAt(p[from:to], int64(n-1)*s.pageSize+int64(from))
	return true, err
}
