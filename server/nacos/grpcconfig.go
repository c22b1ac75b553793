package nacos

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/internal/nacoswire"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// configGRPC are the messages of configuration.
func configGRPC() []grpcOp {
	return []grpcOp{
		{request: "ConfigQueryRequest", response: "ConfigQueryResponse", asks: readsDocument, needs: configs, do: (*Handler).grpcQueryConfig,
			failed: func(r rpc.Result) any { return unreadConfig{Result: r} }},
		{request: "ConfigPublishRequest", response: "ConfigPublishResponse", asks: writesDocument, needs: configs, changes: true, do: (*Handler).grpcPublishConfig},
		{request: "ConfigRemoveRequest", response: "ConfigRemoveResponse", asks: writesDocument, needs: configs, changes: true, do: (*Handler).grpcRemoveConfig},
		{request: "ConfigBatchListenRequest", response: "ConfigChangeBatchListenResponse", asks: readsEach, needs: configs, do: (*Handler).grpcListenConfigs},
		{request: "ConfigFuzzyWatchRequest", response: "ConfigFuzzyWatchResponse", asks: readsDocuments, needs: configs, do: (*Handler).grpcWatchConfigs},
	}
}

// documentMessage is what messages about one document name.
type documentMessage struct {
	DataID nacoswire.Scalar `json:"dataId"`
	Group  nacoswire.Scalar `json:"group"`
	Tenant nacoswire.Scalar `json:"tenant"`
	Tag    nacoswire.Scalar `json:"tag"`
}

// key returns the document that a message is about.
func (m documentMessage) key() config.Key {
	return config.Key{Namespace: folded(string(m.Tenant)), Group: cmp.Or(string(m.Group), config.DefaultGroup), DataID: string(m.DataID)}
}

// about returns the document that a message is about, checked, and with it the right to it.
func (c *grpcCall) about(m documentMessage) (config.Key, error) {
	k := m.key()
	c.concerns(k.Namespace, k.Group, k.DataID, string(m.Tag))
	if err := k.Validate(); err != nil {
		return k, err
	}
	return k, c.may(k.Namespace, k.Group)
}

// configClient returns who reads documents over a connection, as far as gray releases ask
// for it.
func configClient(conn *rpc.Conn) config.Client {
	said := conn.Client()
	who := config.Client{IP: clientIP(conn), Tag: said.Labels[headerTag]}
	for name, value := range said.Labels {
		if label, ok := strings.CutPrefix(name, "app_"); ok { // so do clients write the labels of their users
			if who.Labels == nil {
				who.Labels = map[string]string{}
			}
			who.Labels[label] = value
		}
	}
	return who
}

// clientIP returns the address of a client as it says, empty when it is not known.
func clientIP(conn *rpc.Conn) string {
	if ip := conn.Client().IP; ip.IsValid() {
		return ip.Unmap().String()
	}
	return ""
}

// readConfig is a content as clients read it. Java looks for beta, Go and Python for
// isBeta.
type readConfig struct {
	rpc.Result

	Content          string `json:"content"`
	ContentType      string `json:"contentType"`
	MD5              string `json:"md5"`
	LastModified     int64  `json:"lastModified"` // milliseconds
	EncryptedDataKey string `json:"encryptedDataKey,omitempty"`
	Beta             bool   `json:"beta"`
	IsBeta           bool   `json:"isBeta"`
	Tag              string `json:"tag,omitempty"`
}

// unreadConfig is what stands in its place where there is none: clients of Rust look for
// these also then.
type unreadConfig struct {
	rpc.Result

	LastModified int64 `json:"lastModified"`
	Beta         bool  `json:"beta"`
}

// configMissing is Nacos's code of a document that is not there: the client has none then.
const configMissing = 300

func (h *Handler) grpcQueryConfig(c *grpcCall) (any, error) {
	h.gets.Add(1)
	var m documentMessage
	if err := c.read(&m); err != nil {
		return nil, err
	}
	k, err := c.about(m)
	if err != nil {
		return nil, err
	}
	who := h.cfg.Asker(configClient(c.conn))
	choice, content, err := h.chosen(c.ctx, k, who, string(m.Tag))
	switch {
	case err != nil:
		return nil, err
	case choice.Document == nil:
		h.listens.fetched(c.conn, k, "")
		return unreadConfig{Result: rpc.Fail(configMissing, "config data not exist")}, nil
	}
	d := choice.Document
	h.cfg.Track.Sent(who, k, d.MD5, choice.Release)
	h.listens.fetched(c.conn, k, d.MD5)
	beta := choice.Release == config.BetaName
	answer := readConfig{Result: rpc.OK(), Content: string(content), ContentType: d.Type, MD5: d.MD5, LastModified: d.Modified.UnixMilli(),
		EncryptedDataKey: d.DataKey, Beta: beta, IsBeta: beta}
	if tag, ok := strings.CutPrefix(choice.Release, config.TagPrefix); ok && isJava(c.conn) { // it is a boolean for Go and Python
		answer.Tag = tag
	}
	return answer, nil
}

// isJava reports whether a client is that of Java; isGo likewise.
func isJava(conn *rpc.Conn) bool {
	return strings.HasPrefix(conn.Client().Version, "Nacos-Java-Client")
}

func isGo(conn *rpc.Conn) bool { return strings.HasPrefix(conn.Client().Version, "Nacos-Go-Client") }

// publishMessage is a document to publish.
type publishMessage struct {
	documentMessage

	Content string           `json:"content"`
	CasMD5  nacoswire.Scalar `json:"casMd5"`
	Type    nacoswire.Scalar `json:"type"` // where the Node.js client has it
	More    moreOfDocument   `json:"additionMap"`
}

// moreOfDocument are the texts of an additionMap; what is null is not there.
type moreOfDocument map[string]string

// mostMore bounds them; clients know eleven.
const mostMore = 256

// UnmarshalJSON implements json.Unmarshaler.
func (m *moreOfDocument) UnmarshalJSON(b []byte) error {
	all, ok := map[string]string(nil), false
	if entriesOf(b) <= mostMore {
		all, ok = nacoswire.Texts(b)
	}
	if !ok && string(b) != "null" {
		return &json.UnmarshalTypeError{Value: "no object of texts", Field: "additionMap"}
	}
	*m = all
	return nil
}

// value returns one of them trimmed.
func (m moreOfDocument) value(name string) string { return strings.TrimSpace(m[name]) }

// has reports whether one was sent, blank or not.
func (m moreOfDocument) has(name string) bool {
	_, ok := m[name]
	return ok
}

func (h *Handler) grpcPublishConfig(c *grpcCall) (any, error) {
	h.publishes.Add(1)
	var m publishMessage
	if err := c.read(&m); err != nil {
		return nil, err
	}
	m.Tag = nacoswire.Scalar(m.More.value("tag")) // here a message has it
	k, err := c.about(m.documentMessage)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(m.Content) == "" {
		return nil, refuse(http.StatusBadRequest, "content is blank")
	}
	d := config.Draft{
		Key: k, Content: []byte(m.Content), Type: cmp.Or(m.More.value("type"), string(m.Type)), Desc: m.More.value("desc"), App: m.More.value("appName"),
		Tags: entries(m.More.value("config_tags")), Use: m.More.value("use"), Effect: m.More.value("effect"), Schema: m.More.value("schema"),
		DataKey: m.More.value("encryptedDataKey"), Author: c.author(m.More.value("src_user")), KeepApp: !m.More.has("appName"), KeepTags: !m.More.has("config_tags"),
		If: config.Condition{MD5: string(m.CasMD5)},
	}
	gray := config.ReleaseDraft{Draft: d}
	var receipt config.Receipt
	switch {
	case m.More.value("betaIps") != "":
		betaOf(&gray, m.More.value("betaIps"))
		_, receipt, err = h.cfg.Configs.Release(c.ctx, gray)
	case m.Tag != "":
		if err = tagOf(&gray, string(m.Tag)); err == nil {
			_, receipt, err = h.cfg.Configs.Release(c.ctx, gray)
		}
	default:
		_, receipt, err = h.cfg.Configs.Publish(c.ctx, d)
	}
	if err != nil {
		if worded, _, _ := unpublished(d, err); worded != nil {
			return nil, worded
		}
		return nil, err
	}
	c.wrote(receipt.Revision)
	return rpc.OK(), nil
}

func (h *Handler) grpcRemoveConfig(c *grpcCall) (any, error) {
	var m documentMessage
	if err := c.read(&m); err != nil {
		return nil, err
	}
	k, err := c.about(m)
	if err != nil {
		return nil, err
	}
	var receipt config.Receipt
	if m.Tag != "" {
		_, receipt, err = h.cfg.Configs.Withdraw(c.ctx, k, h.releaseOf(k, string(m.Tag)), c.author(""))
	} else {
		_, receipt, err = h.cfg.Configs.Delete(c.ctx, k, config.Condition{}, c.author(""))
	}
	if err != nil {
		return nil, err
	}
	c.wrote(receipt.Revision)
	return rpc.OK(), nil
}

// author is who writes: who has logged in, else who the message says.
func (c *grpcCall) author(said string) config.Author {
	if c.caller.Who.Type != access.Anonymous {
		said = c.caller.Who.Name
	}
	return config.Author{User: said, IP: clientIP(c.conn)}
}

// listenMessage are documents as a client knows them.
type listenMessage struct {
	Listen   *bool                `json:"listen"` // true when absent
	Contexts few[listenedMessage] `json:"configListenContexts"`
}

type listenedMessage struct {
	documentMessage

	MD5 nacoswire.Scalar `json:"md5"`
}

// listenAnswer names the documents that differ.
type listenAnswer struct {
	rpc.Result

	Changed []listenedName `json:"changedConfigs"`
}

// lengthMD5 is that of an MD5 as clients write it.
const lengthMD5 = 32

// digest returns what is kept of an MD5 that a client says: of a longer text no more than
// that it is none, and differs from all.
func digest(said string) string {
	if len(said) > lengthMD5 {
		return "none"
	}
	return strings.Clone(said)
}

func (h *Handler) grpcListenConfigs(c *grpcCall) (any, error) {
	var m listenMessage
	if err := c.read(&m); err != nil {
		return nil, err
	}
	all := make([]listened, 0, len(m.Contexts))
	for _, d := range m.Contexts {
		all = append(all, listened{key: d.key(), md5: digest(string(d.MD5)), tenant: strings.Clone(string(d.Tenant))})
	}
	answer := listenAnswer{Result: rpc.OK(), Changed: []listenedName{}}
	c.caller.ChecksEach()
	who := configClient(c.conn)
	if m.Listen != nil && !*m.Listen {
		h.listens.unlisten(c.conn, all)
		return answer, nil
	}
	all, err := readable(all, c.caller, c.may)
	if err != nil {
		return nil, err
	}
	h.cfg.Track.Listens(h.cfg.Asker(who), held(all))
	h.strays.listens(c.conn)
	one := h.listens.of(c.conn, who, isGo(c.conn))
	changed, err := h.listens.listen(one, c.caller, c.shown, all)
	if err != nil {
		return nil, err
	}
	for i, d := range changed {
		answer.Changed = append(answer.Changed, listenedName{d.key.Group, d.key.DataID, changed[i].tenant})
	}
	return answer, nil
}
