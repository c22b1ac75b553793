package nacos

// Parsers of what clients send, for tests.
var (
	MetadataOf     = metadataOf
	CanonicalHost  = canonicalHost
	WithoutSecrets = withoutSecrets
)

// Parameters reads one encoded text.
func Parameters(text string) (map[string]string, error) {
	p := params{}
	err := p.add(text)
	return p, err
}

// Listened parses the text of a listener and returns it as it is answered.
func Listened(text string) (documents int, answer string, err error) {
	all, err := parseListened(text)
	return len(all), encodeListened(all), err
}
