-- +goose Up
-- Key-encryption keys that are being given up: nothing more is wrapped by them.
CREATE TABLE kek_fence (
  kek TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The keyring, if it is kept here: encrypted by a key service.
CREATE TABLE keyring (
  id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  generation INTEGER NOT NULL,
  body       BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
