// Package config keeps configuration documents and the rules by which they
// change.
//
// A [Snapshot] holds the head of every document, its gray releases and the
// policies of namespaces at one revision, never a content; content lies in the
// store under its digest, in pieces, and is shared by all that refer to it. Every
// publish and delete leaves a history record, numbered without gaps.
package config
