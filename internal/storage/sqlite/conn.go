package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// conn is one connection with its prepared statements. It belongs to one
// goroutine at a time. It is the driver's own connection and in no pool of
// database/sql, and it takes no context: in this driver a statement whose
// context ends interrupts the connection, which rolls back whatever else the
// transaction holds.
type conn struct {
	c     driver.Conn
	stmts map[string]*stmt
}

type stmt struct {
	s    driver.Stmt
	exec driver.StmtExecContext
	qry  driver.StmtQueryContext
	args []driver.NamedValue
	dest []driver.Value
}

// dsn names a database file to the driver.
func dsn(path string, query url.Values) string {
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}).String()
}

func openConn(dsn string) (*conn, error) {
	c, err := new(sqlite.Driver).Open(dsn)
	if err != nil {
		return nil, err
	}
	return &conn{c: c, stmts: make(map[string]*stmt)}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.s.Close())
	}
	c.stmts = nil
	return errors.Join(append(errs, c.c.Close())...)
}

func (c *conn) prepare(query string) (*stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.c.Prepare(query)
	if err != nil {
		return nil, err
	}
	e, ok1 := s.(driver.StmtExecContext)
	q, ok2 := s.(driver.StmtQueryContext)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("sqlite: driver statement %T lacks ExecContext or QueryContext", s)
	}
	st := &stmt{s: s, exec: e, qry: q}
	c.stmts[query] = st
	return st, nil
}

// bind fills the statement's own argument slice, which the driver copies from
// before it returns.
func (s *stmt) bind(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// exec runs a statement and returns the number of rows it changed.
func (c *conn) exec(query string, args ...driver.Value) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := s.exec.ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row gives a result row column by column. Values are valid after the scan:
// the driver copies blobs and text.
type row struct {
	v []driver.Value
	i int
}

// query calls scan for each row. Scanning must not use c: a prepared statement
// runs once at a time.
func (c *conn) query(query string, scan func(r *row) error, args ...driver.Value) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.qry.QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return err
	}
	if s.dest == nil {
		s.dest = make([]driver.Value, len(rows.Columns()))
	}
	r := row{v: s.dest}
	for {
		err = rows.Next(s.dest)
		if err == nil {
			r.i = 0
			err = scan(&r)
		}
		if err != nil {
			break
		}
	}
	clear(s.dest)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// one is query for at most one row, and reports whether there was one.
func (c *conn) one(query string, scan func(r *row), args ...driver.Value) (bool, error) {
	found := false
	err := c.query(query, func(r *row) error {
		found = true
		scan(r)
		return nil
	}, args...)
	return found, err
}

func (r *row) next() driver.Value {
	v := r.v[r.i]
	r.i++
	return v
}

func (r *row) int() int64 {
	v, _ := r.next().(int64)
	return v
}

func (r *row) text() string {
	v, _ := r.next().(string)
	return v
}

// bytes is nil for NULL. The driver gives nil for an empty blob too.
func (r *row) bytes() []byte {
	v, _ := r.next().([]byte)
	return v
}
