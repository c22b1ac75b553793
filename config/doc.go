// Package config keeps configuration documents and the rules by which they
// change.
//
// A [Snapshot] holds the head of every document at one revision, never its
// content; content lies in the store under its digest, in pieces, and is shared
// by all that refer to it. Every publish and delete leaves a history record.
package config
