package main

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
)

// progressRecord is what an interrupted import goes on from.
type progressRecord struct {
	ID       string `json:"id"`
	Offset   int64  `json:"offset"` // bytes of the file that are done
	Line     int64  `json:"line"`
	Rows     int64  `json:"rows"`
	Rejected int64  `json:"rejected"`
	Repeated int64  `json:"repeated"` // rows that had been taken in before
	Rejects  int64  `json:"rejects"`  // bytes of the rejects file that belong to them
}

// importState is the progress file and the rejects file of an import.
type importState struct {
	path    string
	done    progressRecord
	rejects *os.File
}

// openProgress goes on with the import of this id, or begins a new one.
func openProgress(path, rejectsPath, id string) (*importState, error) {
	s := &importState{path: path, done: progressRecord{ID: id}}
	if raw, err := os.ReadFile(path); err == nil {
		var was progressRecord
		if json.Unmarshal(raw, &was) == nil && was.ID == id {
			s.done = was
		}
	}
	f, err := os.OpenFile(rejectsPath, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, notWritable(err)
	}
	s.rejects = f
	if st, err := f.Stat(); err != nil || st.Size() < s.done.Rejects {
		s.done = progressRecord{ID: id} // the rejects are gone: all rows again, which takes nobody in twice
	}
	// What was written after the last record is written again.
	if err := f.Truncate(s.done.Rejects); err != nil {
		return nil, err
	}
	if _, err := f.Seek(s.done.Rejects, io.SeekStart); err != nil {
		return nil, err
	}
	if s.done.Rejects == 0 {
		n, err := io.WriteString(f, "line,code,field\n")
		if err != nil {
			return nil, err
		}
		s.done.Rejects = int64(n)
	}
	return s, nil
}

// record makes a batch part of what is done: rejects first, then the progress
// file, replaced whole. A crash between the two writes the rejects again.
func (s *importState) record(b rowBatch, rejects []reject, repeated int64) error {
	var text strings.Builder
	w := csv.NewWriter(&text)
	for _, r := range rejects {
		_ = w.Write([]string{strconv.FormatInt(r.line, 10), r.code, r.field}) // a builder takes everything
	}
	w.Flush()
	if text.Len() > 0 {
		if _, err := io.WriteString(s.rejects, text.String()); err != nil {
			return err
		}
		if err := s.rejects.Sync(); err != nil {
			return err
		}
	}
	s.done.Repeated += repeated
	s.done.Offset, s.done.Line = b.offset, b.line
	s.done.Rows += b.rows
	s.done.Rejected += int64(len(rejects))
	s.done.Rejects += int64(text.Len())
	raw, err := json.Marshal(s.done)
	if err != nil {
		return err
	}
	tmp := s.path + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.path)
}

// finished forgets the progress of an import that is done, and the rejects
// file if nothing is in it.
func (s *importState) finished() error {
	if s.done.Rejected == 0 {
		if err := os.Remove(s.rejects.Name()); err != nil {
			return err
		}
	}
	if err := os.Remove(s.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (s *importState) close() { _ = s.rejects.Close() }
