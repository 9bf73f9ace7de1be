-- +goose Up
CREATE TABLE subject_key (
  subject_id  uuid    NOT NULL,
  compartment bigint NOT NULL,
  version     bigint NOT NULL,
  kek         text COLLATE "C" NOT NULL,
  wrapped     bytea    NOT NULL,
  PRIMARY KEY (subject_id, compartment, version)
);

CREATE TABLE key_meta (
  name  text COLLATE "C" NOT NULL PRIMARY KEY,
  value bytea NOT NULL
);
