// Package policy compiles the rules of a literate policy into an immutable
// value and decides by it. It does no I/O, reads no clock and keeps nothing
// between calls: a decision follows from the policy, the facts, the register
// and the request alone.
package policy
