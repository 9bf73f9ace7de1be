-- +goose Up
-- Key-encryption keys that are being given up: nothing more is wrapped by them.
CREATE TABLE kek_fence (
  kek text COLLATE "C" NOT NULL PRIMARY KEY
);

-- The keyring, if it is kept here: encrypted by a key service.
CREATE TABLE keyring (
  id         bigint NOT NULL PRIMARY KEY CHECK (id = 1),
  generation bigint NOT NULL,
  body       bytea  NOT NULL
);
