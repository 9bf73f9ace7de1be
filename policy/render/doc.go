// Package render turns a policy back into words: Say writes every rule as one
// plain English sentence, HTML and Text publish a document with the tables its
// rules make. It reads the syntax tree only and does no I/O of its own; what it
// writes holds nothing of systems.hcl, which is not published, except Say,
// which is read in-house.
//
// HTML promises: no script, no external resource, no inline style attribute,
// one style element whose hash CSP returns; every clause id and every category
// name is an anchor.
package render
