// Package check compares the words of a policy with its rules, and its rules
// with each other, and says where they do not agree. It reads the syntax tree
// alone (the laws too, if they are given); it does no I/O and knows no clock.
//
// How words bind. A clause binds the rules that stand under its own heading.
// A clause of depth two or more also takes in the deeper headings below it
// that have no rules of their own and are not marked informative: their prose
// is then part of its prose, in both directions. The heading of a whole
// document (depth one) takes in nothing, or it would hide every clause that
// lacks rules.
//
// A mention is a word of a category, purpose, recipient or service found in
// prose on word boundaries. Case, plural, the hyphen, soft hyphens, no-break
// spaces and compatibility forms of Unicode make no difference; the longest
// match wins; a link such as [serial number](#person.imei) binds exactly what
// it names. A mention under negation binds only rules that forbid.
//
// What the checks promise: if a rule uses a category, recipient or purpose,
// the clause names it; if the clause names a category or a recipient, one of
// its rules covers it. Everything found carries a stable code and both places
// of a conflict.
package check
