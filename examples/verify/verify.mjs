#!/usr/bin/env node
// Verifies a receipt of consent or a certificate of Abide, in any of its forms,
// without Abide: Node's own crypto and the published formats (spec/log-entry.md,
// spec/log.md), nothing else. No connection.
//
//   node verify.mjs FILE RECEIPT_KEY LOG_KEY
//
// RECEIPT_KEY is a file of what /v1/receipt-key answered, LOG_KEY of what
// /log/key answered, both kept from an earlier day. Exit code 0: it holds.
// 1: it does not, and standard error says why, code first.
import { createHash, createPublicKey, verify as verifySignature } from "node:crypto";
import { readFileSync } from "node:fs";

class Fault extends Error {
  constructor(code, what) {
    super(`${code}: ${what}`);
  }
}
const must = (holds, code, what) => {
  if (!holds) throw new Fault(code, what);
};
const sha256 = (...parts) => {
  const h = createHash("sha256");
  for (const p of parts) h.update(p);
  return h.digest();
};

// RFC 8785: members sorted by UTF-16 code units, no white space. Strings and
// numbers are those of ECMAScript, so JSON.stringify writes them.
function canonical(v) {
  if (Array.isArray(v)) return "[" + v.map(canonical).join(",") + "]";
  if (v === null || typeof v !== "object") return JSON.stringify(v);
  return "{" + Object.keys(v).sort().map((k) => JSON.stringify(k) + ":" + canonical(v[k])).join(",") + "}";
}

const base64 = (text) => {
  const raw = Buffer.from(String(text), "base64");
  must(raw.toString("base64") === text, "document_malformed", "base64 that is not written as it was");
  return raw;
};

// Ed25519 (RFC 8032) by the 32 bytes of the public key.
function ed25519(key, message, signature) {
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key]);
  return signature.length === 64 && verifySignature(null, message, createPublicKey({ key: spki, format: "der", type: "spki" }), signature);
}

const keyID = (key) => "ed25519:" + sha256(key).subarray(0, 8).toString("hex");

function receiptKeys(file) {
  const a = JSON.parse(readFileSync(file, "utf8"));
  const keys = [a, ...(a.earlier ?? [])].map((k) => base64(k.key));
  return new Map(keys.map((k) => [keyID(k), k]));
}

// A signed document: the signature is over its form, a line feed, and the
// canonical form of all of it without the signature.
function signed(keys, form, whole, member) {
  const key = keys.get(member.key);
  must(key, "document_key", "signed with a key that is not among those given");
  const { signature, ...rest } = member;
  const body = member === whole ? rest : { ...whole, abide: rest };
  must(ed25519(key, Buffer.from(form + "\n" + canonical(body)), base64(signature)), "document_signature", `the signature of ${form} does not match`);
}

// A signed note (c2sp.org/signed-note) with a checkpoint (c2sp.org/tlog-checkpoint).
function checkpoint(text, logKey) {
  const [, name, id, key] = /^([^+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(logKey) ?? [];
  must(name, "key_malformed", "the log's key is not a verifier key");
  const raw = base64(key);
  must(raw[0] === 1 && sha256(name + "\n", raw).subarray(0, 4).toString("hex") === id, "key_malformed", "the log's key has another id");
  const at = text.indexOf("\n\n");
  must(at > 0, "checkpoint_malformed", "not a signed note");
  const body = text.slice(0, at + 1);
  const [origin, size, root] = body.split("\n");
  must(origin === name, "checkpoint_origin", "the checkpoint is of another log than the key");
  const holds = text.slice(at + 2).split("\n").some((line) => {
    const [dash, who, sig] = line.split(" ");
    if (dash !== "—" || who !== name) return false;
    const s = Buffer.from(sig, "base64");
    return s.subarray(0, 4).toString("hex") === id && ed25519(raw.subarray(1), Buffer.from(body), s.subarray(4));
  });
  must(holds, "checkpoint_signature", "no valid signature of the log");
  must(/^[1-9][0-9]*$/.test(size), "checkpoint_malformed", "the size is not a decimal number");
  return { origin, size: BigInt(size), root: base64(root) };
}

// RFC 9162, section 2.1.3.2: does the path lead from the leaf to the root?
function included(leaf, index, path, size, root) {
  if (index >= size) return false;
  let [fn, sn, r] = [index, size - 1n, leaf];
  const node = (a, b) => sha256(Buffer.from([1]), a, b);
  for (const p of path) {
    if (sn === 0n) return false;
    if (fn % 2n === 1n || fn === sn) {
      r = node(p, r);
      while (fn % 2n === 0n && fn !== 0n) [fn, sn] = [fn / 2n, sn / 2n];
    } else {
      r = node(r, p);
    }
    [fn, sn] = [fn / 2n, sn / 2n];
  }
  return sn === 0n && r.equals(root);
}

// The two parts of a log entry open to its commitment (spec/log-entry.md, rules 3 and 5).
function entry(log) {
  const hash = (tag, random, body) => sha256(tag + "\0", random, body);
  const open = (text) => {
    const raw = base64(text);
    return { random: raw.subarray(0, 32), other: raw.subarray(32, 64), body: raw.subarray(64) };
  };
  const p = open(log.part), e = open(log.envelope);
  const s = hash("abide/log/subject/1", p.random, p.body), v = hash("abide/log/envelope/1", e.random, e.body);
  must(p.other.equals(v) && e.other.equals(s), "proof_wrong", "the parts are not of one entry");
  const commitment = sha256("abide/log/leaf/1\0", s, v);
  must(commitment.toString("hex") === log.commitment, "proof_wrong", "the parts are not those that were committed to");
  return { commitment, part: JSON.parse(p.body), envelope: JSON.parse(e.body) };
}

// The proof of an entry (c2sp.org/tlog-proof).
function logged(log, logKey) {
  const { commitment, part, envelope } = entry(log);
  const at = log.proof.indexOf("\n\n");
  const [header, index, ...path] = log.proof.slice(0, at).split("\n");
  must(header === "c2sp.org/tlog-proof@v1" && index === `index ${log.index}`, "proof_malformed", "the proof is not of this entry");
  const c = checkpoint(log.proof.slice(at + 2), logKey);
  must(log.origin === c.origin, "checkpoint_origin", "the proof is of another log");
  const leaf = sha256(Buffer.from([0]), commitment);
  must(included(leaf, BigInt(log.index), path.map(base64), c.size, c.root), "proof_wrong", "the hashes do not lead to the checkpoint's root");
  return { part, envelope, index: log.index, size: c.size, origin: c.origin };
}

const agree = (holds) => must(holds, "document_differs", "what the file shows, what is signed in it and what the log has do not agree");
const same = (a, b) => canonical(a ?? null) === canonical(b ?? null);

// What a signed document is about, and what the log's entry must say of it.
const documents = {
  receipt: ["abide-receipt/1", (d, { part: p, envelope: e }) =>
    e.kind === "consented" && p.receipt === d.id && p.subject === d.subject && p.consent === d.event && p.n === d.log_entry && p.action === d.action &&
    same(p.terms, d.terms) && same(p.document, d.document) && same(e.purpose, d.purpose) && e.policy === d.policy &&
    p.receipt_digest === sha256(canonical(d)).toString("hex")],
  certificate: ["abide-erasure-certificate/1", (d, { part: p, envelope: e }) =>
    e.kind === "erased" && p.subject === d.subject && p.n === d.log_entry && same(e.policy, d.policy)],
  disclosure: ["abide-disclosure-certificate/1", (d, { part: p, envelope: e }) =>
    e.kind === "disclosed" && p.subject === d.subject && same(p.items ?? [], d.items) && e.recipient === d.recipient && e.purpose === d.purpose &&
    same(e.categories ?? [], d.categories) && same(e.actor, d.actor) && e.at === d.at && e.policy === d.policy && same(e.reasons ?? [], d.grounds)],
};

// The forms of others repeat the receipt; what they repeat must be so.
function shown(doc, receipt) {
  if (doc.version === "KI-CR-v1.1.0") {
    agree(doc.consentReceiptID === receipt.id && doc.piiPrincipalId === receipt.subject && doc.consentTimestamp === Math.floor(Date.parse(receipt.at) / 1000));
    return "Kantara consent receipt 1.1.0";
  }
  const record = doc["dpv:hasRecordOfActivity"] ?? doc;
  const id = sha256("abide/consent-record\0", receipt.id);
  id[6] = (id[6] & 0x0f) | 0x80;
  id[8] = (id[8] & 0x3f) | 0x80;
  const recordID = id.toString("hex").slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  must(/^https:\/\/w3id\.org\/dpv\/schema\/dpv-27560#/.test(doc["dct:conformsTo"]), "document_malformed", "no form that is known here");
  agree(record["dct:identifier"] === recordID && record["dpv:hasDataSubject"]["dct:identifier"] === receipt.subject);
  agree(record === doc || doc["dct:identifier"] === receipt.id);
  return doc["dct:conformsTo"];
}

function check(file, receiptKey, logKey) {
  const text = readFileSync(file, "utf8").replace(/\n$/, "");
  let doc;
  try {
    doc = JSON.parse(text);
  } catch {
    throw new Fault("document_malformed", "it is not JSON");
  }
  must(canonical(doc) === text, "document_malformed", "it is not in canonical form: keep the file as it came");
  const keys = receiptKeys(receiptKey);
  const evidence = doc.form === "abide-proved/1" ? doc : doc.abide;
  must(evidence && (evidence === doc || evidence.form === "abide-evidence/1"), "document_malformed", "no form that is known here");
  signed(keys, evidence.form, doc, evidence);
  const kinds = Object.keys(documents).filter((k) => evidence[k]);
  must(kinds.length === 1, "document_malformed", "not exactly one receipt or certificate");
  const [form, recorded] = documents[kinds[0]];
  const inner = evidence[kinds[0]];
  must(inner.form === form, "document_malformed", "another form than its place says");
  signed(keys, form, inner, inner);
  must(evidence.log, "document_not_proved", "no proof that the log has it");
  const at = logged(evidence.log, readFileSync(logKey, "utf8").split("\n")[0]);
  agree(recorded(inner, at));
  if (kinds[0] === "disclosure") agree(inner.commitment === evidence.log.commitment);
  const name = evidence === doc ? form : shown(doc, inner);
  return `${name}: ${inner.id} of subject ${inner.subject}, entry ${at.index} of ${at.size} in ${at.origin}`;
}

const [file, receiptKey, logKey] = process.argv.slice(2);
if (!logKey) {
  console.error("usage: node verify.mjs FILE RECEIPT_KEY LOG_KEY");
  process.exit(2);
}
try {
  console.log(check(file, receiptKey, logKey));
} catch (e) {
  console.error(e instanceof Fault ? e.message : `document_malformed: ${e.message}`);
  process.exit(1);
}
