-- +goose Up
-- Times are microseconds since 1970, UTC. Every table that grows with people
-- begins with subject_id; foreign keys run only along it.

CREATE TABLE subject (
  subject_id  uuid    NOT NULL PRIMARY KEY,
  kind        text COLLATE "C" NOT NULL,
  status      text COLLATE "C" NOT NULL,
  version     bigint NOT NULL,
  next_due_at bigint,
  sealed      bytea,
  law         bytea,
  entry_n     bigint NOT NULL,
  consent_n   bigint NOT NULL,
  created_at  bigint NOT NULL
);
CREATE INDEX subject_due ON subject (next_due_at) WHERE next_due_at IS NOT NULL;

CREATE TABLE item (
  subject_id  uuid    NOT NULL REFERENCES subject,
  category    text COLLATE "C" NOT NULL,
  item_id     uuid    NOT NULL,
  version     bigint NOT NULL,
  compartment bigint NOT NULL,
  sealed      bytea,
  index_key   text COLLATE "C",
  index_value bytea,
  due_at      bigint,
  PRIMARY KEY (subject_id, category, item_id)
);
CREATE INDEX item_due ON item (subject_id, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE consent_event (
  subject_id uuid    NOT NULL REFERENCES subject,
  n          bigint NOT NULL,
  at         bigint NOT NULL,
  purpose    text COLLATE "C" NOT NULL,
  action     text COLLATE "C" NOT NULL,
  terms      text COLLATE "C" NOT NULL,
  sealed     bytea,
  PRIMARY KEY (subject_id, n)
);

-- A filter for candidates, never the authority.
CREATE TABLE consent_index (
  subject_id uuid NOT NULL REFERENCES subject,
  purpose    text COLLATE "C" NOT NULL,
  terms      text COLLATE "C" NOT NULL,
  effect     text COLLATE "C" NOT NULL,
  PRIMARY KEY (subject_id, purpose)
);
CREATE INDEX consent_candidates ON consent_index (purpose, effect, subject_id, terms);

CREATE TABLE fact (
  subject_id uuid    NOT NULL REFERENCES subject,
  anchor     text COLLATE "C" NOT NULL,
  event      text COLLATE "C" NOT NULL,
  at         bigint NOT NULL,
  PRIMARY KEY (subject_id, anchor, event)
);

CREATE TABLE idempotency (
  subject_id uuid    NOT NULL REFERENCES subject,
  key        bytea    NOT NULL,
  digest     bytea    NOT NULL,
  sealed     bytea,
  expires_at bigint NOT NULL,
  PRIMARY KEY (subject_id, key)
);

-- A row stays after the erasure is done, for its certificate.
CREATE TABLE erasure_job (
  subject_id  uuid    NOT NULL PRIMARY KEY REFERENCES subject,
  step        text COLLATE "C" NOT NULL,
  certificate bytea,
  started_at  bigint NOT NULL
);
CREATE INDEX erasure_unfinished ON erasure_job (subject_id) WHERE step <> 'done';

-- The zero subject holds the store's own entries: no foreign key.
CREATE TABLE entry (
  subject_id uuid    NOT NULL,
  n          bigint NOT NULL,
  at         bigint NOT NULL,
  kind       text COLLATE "C" NOT NULL,
  payload    bytea,
  envelope   bytea,
  commitment bytea    NOT NULL CHECK (length(commitment) = 32),
  PRIMARY KEY (subject_id, n)
);

CREATE TABLE pending (
  subject_id uuid    NOT NULL,
  n          bigint NOT NULL,
  commitment bytea    NOT NULL,
  PRIMARY KEY (subject_id, n)
);

-- looks becomes NULL when the batch is indexed; the row stays, so that the
-- same batch is never taken twice.
CREATE TABLE spool (
  node  text COLLATE "C" NOT NULL,
  batch bigint NOT NULL,
  at    bigint NOT NULL,
  looks bytea,
  PRIMARY KEY (node, batch)
);
CREATE INDEX spool_waiting ON spool (node, batch) WHERE looks IS NOT NULL;

CREATE TABLE look (
  subject_id uuid    NOT NULL,
  node       text COLLATE "C" NOT NULL,
  batch      bigint NOT NULL,
  pos        bigint NOT NULL,
  at         bigint NOT NULL,
  kind       text COLLATE "C" NOT NULL,
  payload    bytea,
  envelope   bytea,
  commitment bytea    NOT NULL CHECK (length(commitment) = 32),
  PRIMARY KEY (subject_id, node, batch, pos)
);
CREATE INDEX look_time ON look (subject_id, at, node, batch, pos);

-- Sharded by index value. holder is the zero id for a unique claim, so that
-- there can be only one, and the subject otherwise. expires_at NULL is a
-- confirmed claim.
CREATE TABLE lookup (
  index_value bytea    NOT NULL,
  index_key   text COLLATE "C" NOT NULL,
  category    text COLLATE "C" NOT NULL,
  holder      uuid    NOT NULL,
  subject_id  uuid    NOT NULL,
  expires_at  bigint,
  claimed_at  bigint NOT NULL,
  PRIMARY KEY (index_value, index_key, category, holder)
);

CREATE TABLE counter (
  name   text COLLATE "C" NOT NULL,
  period text COLLATE "C" NOT NULL,
  value  text COLLATE "C" NOT NULL,
  n      bigint NOT NULL,
  PRIMARY KEY (name, period, value)
);

CREATE TABLE policy_epoch (
  id      bigint NOT NULL PRIMARY KEY CHECK (id = 1),
  n       bigint NOT NULL,
  version text COLLATE "C" NOT NULL,
  since   bigint NOT NULL
);

CREATE TABLE policy_version (
  n            bigint NOT NULL PRIMARY KEY,
  version      text COLLATE "C" NOT NULL,
  source       bytea,
  published_at bigint NOT NULL,
  published_by text COLLATE "C" NOT NULL
);
CREATE INDEX policy_by_version ON policy_version (version, n);

CREATE TABLE terms (
  digest    text COLLATE "C" NOT NULL PRIMARY KEY,
  purpose   text COLLATE "C" NOT NULL,
  canonical bytea
);

CREATE TABLE token (
  hash       bytea    NOT NULL PRIMARY KEY,
  name       text COLLATE "C" NOT NULL,
  actor      text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint
);

CREATE TABLE record (
  kind    text COLLATE "C" NOT NULL,
  name    text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  body    bytea,
  at      bigint NOT NULL,
  PRIMARY KEY (kind, name)
);

CREATE TABLE meta (
  name  text COLLATE "C" NOT NULL PRIMARY KEY,
  value bytea NOT NULL
);
