-- +goose Up
-- A log has a number; the one with the highest grows.
CREATE TABLE log_head (
  log    INTEGER NOT NULL PRIMARY KEY,
  origin TEXT    NOT NULL,
  size   INTEGER NOT NULL,
  root   BLOB    NOT NULL CHECK (length(root) = 32),
  epoch  INTEGER NOT NULL,
  beat   INTEGER NOT NULL,
  holder TEXT    NOT NULL
) STRICT;

-- Not WITHOUT ROWID: rows of 8 KiB do not belong into an index. Level -1 holds
-- bundles of entries.
CREATE TABLE tile (
  log   INTEGER NOT NULL,
  level INTEGER NOT NULL,
  n     INTEGER NOT NULL,
  data  BLOB    NOT NULL,
  PRIMARY KEY (log, level, n)
) STRICT;

-- Which entries became the leaves from first on, one row for a batch of them.
CREATE TABLE leaf_map (
  log     INTEGER NOT NULL,
  first   INTEGER NOT NULL,
  count   INTEGER NOT NULL CHECK (count > 0),
  at      INTEGER NOT NULL,
  sources BLOB    NOT NULL,
  settled INTEGER NOT NULL,
  PRIMARY KEY (log, first)
) STRICT;
CREATE INDEX leaf_map_unsettled ON leaf_map (log, first) WHERE settled = 0;
CREATE INDEX leaf_map_time ON leaf_map (log, at);

CREATE TABLE checkpoint (
  log  INTEGER NOT NULL,
  size INTEGER NOT NULL,
  at   INTEGER NOT NULL,
  note BLOB    NOT NULL,
  PRIMARY KEY (log, size)
) STRICT, WITHOUT ROWID;

-- leaves are the commitments of the looks; NULL when a tree holds them, which
-- log and leaf then name.
ALTER TABLE spool ADD COLUMN leaves BLOB;
ALTER TABLE spool ADD COLUMN log INTEGER;
ALTER TABLE spool ADD COLUMN leaf INTEGER;
CREATE INDEX spool_unlogged ON spool (node, batch) WHERE leaves IS NOT NULL;
