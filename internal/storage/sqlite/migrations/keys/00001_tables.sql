-- +goose Up
CREATE TABLE subject_key (
  subject_id  BLOB    NOT NULL CHECK (length(subject_id) = 16),
  compartment INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  kek         TEXT    NOT NULL,
  wrapped     BLOB    NOT NULL,
  PRIMARY KEY (subject_id, compartment, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
