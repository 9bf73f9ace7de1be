-- +goose Up
-- A log has a number; the one with the highest grows.
CREATE TABLE log_head (
  log    bigint NOT NULL PRIMARY KEY,
  origin text COLLATE "C" NOT NULL,
  size   bigint NOT NULL,
  root   bytea  NOT NULL CHECK (length(root) = 32),
  epoch  bigint NOT NULL,
  beat   bigint NOT NULL,
  holder text COLLATE "C" NOT NULL
);

-- Hashes do not compress. Level -1 holds bundles of entries.
CREATE TABLE tile (
  log   bigint NOT NULL,
  level bigint NOT NULL,
  n     bigint NOT NULL,
  data  bytea  NOT NULL,
  PRIMARY KEY (log, level, n)
);
ALTER TABLE tile ALTER COLUMN data SET STORAGE EXTERNAL;

-- Which entries became the leaves from first on, one row for a batch of them.
CREATE TABLE leaf_map (
  log     bigint NOT NULL,
  first   bigint NOT NULL,
  count   bigint NOT NULL CHECK (count > 0),
  at      bigint NOT NULL,
  sources bytea  NOT NULL,
  settled bigint NOT NULL,
  PRIMARY KEY (log, first)
);
CREATE INDEX leaf_map_unsettled ON leaf_map (log, first) WHERE settled = 0;
CREATE INDEX leaf_map_time ON leaf_map (log, at);

CREATE TABLE checkpoint (
  log  bigint NOT NULL,
  size bigint NOT NULL,
  at   bigint NOT NULL,
  note bytea  NOT NULL,
  PRIMARY KEY (log, size)
);

-- leaves are the commitments of the looks; NULL when a tree holds them, which
-- log and leaf then name.
ALTER TABLE spool ADD COLUMN leaves bytea;
ALTER TABLE spool ADD COLUMN log bigint;
ALTER TABLE spool ADD COLUMN leaf bigint;
CREATE INDEX spool_unlogged ON spool (node, batch) WHERE leaves IS NOT NULL;
