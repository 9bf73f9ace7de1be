// Package rights holds the rules of what people ask for: by when an answer is
// due. It has no I/O and no clock; what a law asks for comes as data, from the
// law profiles.
package rights
