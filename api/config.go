package api

import "time"

// Paths of configuration. A document's content travels as the raw body of GET and
// PUT on PathConfig, with its MD5 as entity tag.
const (
	PathConfigs       = "/v1/configs"
	PathConfig        = "/v1/configs/{namespace}/{group}/{dataId}"
	PathConfigHead    = PathConfig + "/head"
	PathConfigHistory = PathConfig + "/history"
	PathConfigRecord  = PathConfig + "/history/{seq}"
	PathConfigDiff    = PathConfig + "/diff"
	PathConfigRevert  = PathConfig + "/revert"
	PathConfigTrack   = PathConfig + "/track"
	PathReleases      = PathConfig + "/releases"
	PathRelease       = PathConfig + "/releases/{release}"
	PathPromote       = PathConfig + "/releases/{release}/promote"
	PathParts         = PathConfig + "/parts"
	PathPart          = PathConfig + "/parts/{datumId}"
	PathConfigSet     = "/v1/configs-set"
	PathWatch         = "/v1/configs-watch"
	PathConfigExport  = "/v1/configs-export"
	PathConfigImport  = "/v1/configs-import"
	PathConfigClone   = "/v1/configs-clone"
)

// Headers by which a client that reads a document says who it is, for gray
// releases: its name, its tag, and its labels as name=value, separated by commas.
const (
	HeaderClient       = "Muster-Client"
	HeaderClientTag    = "Muster-Client-Tag"
	HeaderClientLabels = "Muster-Client-Labels"
)

// Headers of a document that comes of a gray release: its name, and why the
// client got it.
const (
	HeaderRelease    = "Muster-Release"
	HeaderReleaseWhy = "Muster-Release-Why"
)

// Headers of a document's content: which version of its history it is, and the key
// that came with a content which the client had encrypted.
const (
	HeaderVersion = "Muster-Version"
	HeaderDataKey = "Encrypted-Data-Key"
)

// HeaderWarning says what the writer of a document should know although it was
// written; there may be several.
const HeaderWarning = "Muster-Warning"

// Config describes one configuration document.
type Config struct {
	Namespace string    `json:"namespace"`
	Group     string    `json:"group"`
	DataID    string    `json:"dataId"`
	Type      string    `json:"type,omitempty"`
	MD5       string    `json:"md5"`
	Size      int       `json:"size" doc:"Bytes"`
	Desc      string    `json:"desc,omitempty"`
	App       string    `json:"app,omitempty"`
	Tags      []string  `json:"tags,omitempty"`
	Use       string    `json:"use,omitempty"`
	Effect    string    `json:"effect,omitempty"`
	Schema    string    `json:"schema,omitempty" doc:"JSON Schema that the content is to fit; not in lists"`
	Encrypted bool      `json:"encrypted,omitempty" doc:"It is encrypted where it is stored"`
	DataKey   string    `json:"encryptedDataKey,omitempty" doc:"The key that came with a content which the client had encrypted"`
	Parts     int       `json:"parts,omitempty" doc:"How many parts the content is joined of; absent when it is no aggregate"`
	Releases  []string  `json:"releases,omitempty" doc:"Gray releases that some clients get instead, the one that is tried first first"`
	Version   int64     `json:"version" doc:"Number of the history record that made it"`
	Revision  int64     `json:"revision" doc:"Revision of its last change"`
	Created   time.Time `json:"created"`
	Modified  time.Time `json:"modified"`
	User      string    `json:"user,omitempty" doc:"Who wrote it"`
	IP        string    `json:"ip,omitempty" doc:"From where"`
}

// ConfigList is one page of documents, without content.
type ConfigList struct {
	Total    int      `json:"total"`
	Revision int64    `json:"revision"`
	Configs  []Config `json:"configs" nullable:"false"`
}

// ConfigWritten is a document as a write left it.
type ConfigWritten struct {
	Config

	Warnings []string `json:"warnings,omitempty" doc:"What the writer should know although it was written: a content that its type or schema does not fit, a soft quota"`
}

// ConfigRef names a document and the MD5 of the content the caller has; an
// empty MD5 means that it has none.
type ConfigRef struct {
	Namespace string `json:"namespace,omitempty" doc:"public when empty"`
	Group     string `json:"group,omitempty" doc:"DEFAULT_GROUP when empty"`
	DataID    string `json:"dataId" minLength:"1"`
	MD5       string `json:"md5,omitempty"`
}

// MaxGroupNames bounds the data ids that a watch tells of one group, and of all its
// groups but the first: what did not fit is told by the next call.
const MaxGroupNames = 10000

// ConfigGroup names a group and the digest that the server told of its data ids
// last; an empty digest means that the caller knows nothing of them.
type ConfigGroup struct {
	Namespace string `json:"namespace,omitempty" doc:"public when empty"`
	Group     string `json:"group,omitempty" doc:"DEFAULT_GROUP when empty"`
	Names     string `json:"names,omitempty" maxLength:"64"`
}

// ConfigGroupNames tells which documents a group has.
type ConfigGroupNames struct {
	ConfigGroup

	Total   int      `json:"total" doc:"How many documents it has"`
	DataIDs []string `json:"dataIds" nullable:"false" doc:"Their data ids, in order; the first 10000"`
}

// ConfigWatch asks to be answered once one of the documents differs from what
// the caller has, or a group has other documents, or after Wait milliseconds.
type ConfigWatch struct {
	Configs []ConfigRef   `json:"configs" maxItems:"10000" nullable:"false"`
	Groups  []ConfigGroup `json:"groups,omitempty" maxItems:"100"`
	Wait    int           `json:"wait" minimum:"0" maximum:"60000" doc:"Milliseconds to hold the call"`
}

// ConfigChanges lists the documents that differ, each with its present MD5
// (empty: it does not exist), and the groups whose documents are others.
type ConfigChanges struct {
	Changed []ConfigRef        `json:"changed" nullable:"false"`
	Groups  []ConfigGroupNames `json:"groups,omitempty"`
}

// ConfigSet is a write of several documents: all of it is made, at one revision,
// or none.
type ConfigSet struct {
	Edits []ConfigEdit `json:"edits" minItems:"1" maxItems:"200" nullable:"false"`
}

// ConfigEdit is one change of a ConfigSet. What it does not say of a document
// that is there stays as it is.
type ConfigEdit struct {
	Namespace string   `json:"namespace,omitempty" doc:"public when empty"`
	Group     string   `json:"group,omitempty" doc:"DEFAULT_GROUP when empty"`
	DataID    string   `json:"dataId" minLength:"1"`
	Delete    bool     `json:"delete,omitempty" doc:"Remove the document; one that is not there is fine, unless ifMd5 or ifRevision is given"`
	Content   string   `json:"content,omitempty"`
	Type      string   `json:"type,omitempty"`
	Desc      string   `json:"desc,omitempty"`
	App       string   `json:"app,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	Schema    string   `json:"schema,omitempty"`
	Encrypt   *bool    `json:"encrypt,omitempty" doc:"Whether it is to be encrypted where it is stored; as it stands when absent"`

	IfMD5      string `json:"ifMd5,omitempty" doc:"Only over a content with this MD5"`
	IfRevision int64  `json:"ifRevision,omitempty" minimum:"0" doc:"Only over a document that was last changed at this revision"`
	IfAbsent   bool   `json:"ifAbsent,omitempty" doc:"Only where there is no document"`
}

// ConfigSetAnswer answers a ConfigSet.
type ConfigSetAnswer struct {
	Revision int64    `json:"revision" doc:"Revision that all of it was committed at"`
	Configs  []Config `json:"configs" nullable:"false" doc:"The documents that were published, in the order of the edits"`
	Removed  int      `json:"removed" doc:"How many edits were removals"`
	Warnings []string `json:"warnings,omitempty"`
}
