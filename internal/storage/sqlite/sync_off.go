//go:build abide_nosync

package sqlite

// synchronous OFF acknowledges before anything is durable. This build exists
// so that the durability proof can be seen to fail.
const synchronous = "OFF"
