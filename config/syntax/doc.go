// Package syntax judges whether a content is what its declared type says, and
// whether it fits a JSON Schema.
//
// A content may be secret. An error says where in it something is wrong, by line,
// column or path of keys, and what, in words of this package: it never holds a
// value of the content, and nothing that a parser says of it.
//
// A content may be hostile as well. The work for one is bounded: its nesting
// ([MaxDepth]), the values of a YAML document ([MaxNodes]) and of one that is held
// to a schema ([MaxValues]), the size of a TOML document ([MaxTOML]), and the steps
// that a schema may take. What is beyond is not judged, which is an error that is
// [ErrUnjudged]. Contents over 1 MiB are judged one at a time. So 10 MiB of
// anything take some seconds at most, and some hundred megabytes meanwhile.
package syntax
