// Package abide holds the words of the domain: data subject, category,
// purpose, recipient, consent, item, decision, actor, and the stable codes of
// errors and reasons. It imports the standard library only and does no I/O, so
// that every other package can speak the same language.
package abide
