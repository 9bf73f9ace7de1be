-- +goose Up
-- Times are microseconds since 1970, UTC. Every table that grows with people
-- begins with subject_id; foreign keys run only along it.

CREATE TABLE subject (
  subject_id  BLOB    NOT NULL PRIMARY KEY CHECK (length(subject_id) = 16),
  kind        TEXT    NOT NULL,
  status      TEXT    NOT NULL,
  version     INTEGER NOT NULL,
  next_due_at INTEGER,
  sealed      BLOB,
  law         BLOB,
  entry_n     INTEGER NOT NULL,
  consent_n   INTEGER NOT NULL,
  created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX subject_due ON subject (next_due_at) WHERE next_due_at IS NOT NULL;

CREATE TABLE item (
  subject_id  BLOB    NOT NULL REFERENCES subject,
  category    TEXT    NOT NULL,
  item_id     BLOB    NOT NULL,
  version     INTEGER NOT NULL,
  compartment INTEGER NOT NULL,
  sealed      BLOB,
  index_key   TEXT,
  index_value BLOB,
  due_at      INTEGER,
  PRIMARY KEY (subject_id, category, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_due ON item (subject_id, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE consent_event (
  subject_id BLOB    NOT NULL REFERENCES subject,
  n          INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  purpose    TEXT    NOT NULL,
  action     TEXT    NOT NULL,
  terms      TEXT    NOT NULL,
  sealed     BLOB,
  PRIMARY KEY (subject_id, n)
) STRICT, WITHOUT ROWID;

-- A filter for candidates, never the authority.
CREATE TABLE consent_index (
  subject_id BLOB NOT NULL REFERENCES subject,
  purpose    TEXT NOT NULL,
  terms      TEXT NOT NULL,
  effect     TEXT NOT NULL,
  PRIMARY KEY (subject_id, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_candidates ON consent_index (purpose, effect, subject_id, terms);

CREATE TABLE fact (
  subject_id BLOB    NOT NULL REFERENCES subject,
  anchor     TEXT    NOT NULL,
  event      TEXT    NOT NULL,
  at         INTEGER NOT NULL,
  PRIMARY KEY (subject_id, anchor, event)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
  subject_id BLOB    NOT NULL REFERENCES subject,
  key        BLOB    NOT NULL,
  digest     BLOB    NOT NULL,
  sealed     BLOB,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (subject_id, key)
) STRICT, WITHOUT ROWID;

-- A row stays after the erasure is done, for its certificate.
CREATE TABLE erasure_job (
  subject_id  BLOB    NOT NULL PRIMARY KEY REFERENCES subject,
  step        TEXT    NOT NULL,
  certificate BLOB,
  started_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX erasure_unfinished ON erasure_job (subject_id) WHERE step <> 'done';

-- The zero subject holds the store's own entries: no foreign key.
CREATE TABLE entry (
  subject_id BLOB    NOT NULL,
  n          INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  kind       TEXT    NOT NULL,
  payload    BLOB,
  envelope   BLOB,
  commitment BLOB    NOT NULL CHECK (length(commitment) = 32),
  PRIMARY KEY (subject_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE pending (
  subject_id BLOB    NOT NULL,
  n          INTEGER NOT NULL,
  commitment BLOB    NOT NULL,
  PRIMARY KEY (subject_id, n)
) STRICT, WITHOUT ROWID;

-- looks becomes NULL when the batch is indexed; the row stays, so that the
-- same batch is never taken twice.
CREATE TABLE spool (
  node  TEXT    NOT NULL,
  batch INTEGER NOT NULL,
  at    INTEGER NOT NULL,
  looks BLOB,
  PRIMARY KEY (node, batch)
) STRICT, WITHOUT ROWID;
CREATE INDEX spool_waiting ON spool (node, batch) WHERE looks IS NOT NULL;

CREATE TABLE look (
  subject_id BLOB    NOT NULL,
  node       TEXT    NOT NULL,
  batch      INTEGER NOT NULL,
  pos        INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  kind       TEXT    NOT NULL,
  payload    BLOB,
  envelope   BLOB,
  commitment BLOB    NOT NULL CHECK (length(commitment) = 32),
  PRIMARY KEY (subject_id, node, batch, pos)
) STRICT, WITHOUT ROWID;
CREATE INDEX look_time ON look (subject_id, at, node, batch, pos);

-- Sharded by index value. holder is the zero id for a unique claim, so that
-- there can be only one, and the subject otherwise. expires_at NULL is a
-- confirmed claim.
CREATE TABLE lookup (
  index_value BLOB    NOT NULL,
  index_key   TEXT    NOT NULL,
  category    TEXT    NOT NULL,
  holder      BLOB    NOT NULL,
  subject_id  BLOB    NOT NULL,
  expires_at  INTEGER,
  claimed_at  INTEGER NOT NULL,
  PRIMARY KEY (index_value, index_key, category, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
  name   TEXT    NOT NULL,
  period TEXT    NOT NULL,
  value  TEXT    NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (name, period, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_epoch (
  id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  n       INTEGER NOT NULL,
  version TEXT    NOT NULL,
  since   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_version (
  n            INTEGER NOT NULL PRIMARY KEY,
  version      TEXT    NOT NULL,
  source       BLOB,
  published_at INTEGER NOT NULL,
  published_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_by_version ON policy_version (version, n);

CREATE TABLE terms (
  digest    TEXT NOT NULL PRIMARY KEY,
  purpose   TEXT NOT NULL,
  canonical BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
  hash       BLOB    NOT NULL PRIMARY KEY,
  name       TEXT    NOT NULL,
  actor      TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
  kind    TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  version INTEGER NOT NULL,
  body    BLOB,
  at      INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
