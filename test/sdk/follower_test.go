package sdk_test

import (
	"testing"
	"time"

	config1 "github.com/nacos-group/nacos-sdk-go/clients/config_client"
	config2 "github.com/nacos-group/nacos-sdk-go/v2/clients/config_client"
	vo2 "github.com/nacos-group/nacos-sdk-go/v2/vo"
	vo1 "github.com/nacos-group/nacos-sdk-go/vo"
)

// document is a document, as a client of either generation has it.
type document interface {
	publish(content string) (bool, error)
	read() (string, error)
	remove() (bool, error)
	listen(told func(content string)) error
}

// document1 is a document of type YAML in the group DEFAULT_GROUP, as a client of generation 1 has it.
type document1 struct {
	config1.IConfigClient

	dataID string
}

func (d document1) param() vo1.ConfigParam {
	return vo1.ConfigParam{DataId: d.dataID, Group: "DEFAULT_GROUP", Type: vo1.YAML}
}

func (d document1) publish(content string) (bool, error) {
	p := d.param()
	p.Content = content
	return d.PublishConfig(p)
}

func (d document1) read() (string, error) { return d.GetConfig(d.param()) }

func (d document1) remove() (bool, error) { return d.DeleteConfig(d.param()) }

func (d document1) listen(told func(content string)) error {
	p := d.param()
	p.OnChange = func(_, _, _, content string) { told(content) }
	return d.ListenConfig(p)
}

// document2 is such a document as a client of generation 2 has it.
type document2 struct {
	config2.IConfigClient

	dataID string
}

func (d document2) param() vo2.ConfigParam {
	return vo2.ConfigParam{DataId: d.dataID, Group: "DEFAULT_GROUP", Type: "yaml"}
}

func (d document2) publish(content string) (bool, error) { return d.publishOver(content, "") }

// publishOver publishes a content over the one with this MD5.
func (d document2) publishOver(content, md5 string) (bool, error) {
	p := d.param()
	p.Content, p.CasMd5 = content, md5
	return d.PublishConfig(p)
}

func (d document2) read() (string, error) { return d.GetConfig(d.param()) }

func (d document2) remove() (bool, error) { return d.DeleteConfig(d.param()) }

func (d document2) listen(told func(content string)) error {
	p := d.param()
	p.OnChange = func(_, _, _, content string) { told(content) }
	return d.ListenConfig(p)
}

// follower is a client that listens to a document.
type follower struct {
	document

	t    *testing.T
	told chan string // each content that the listener got
}

// follow has a client listen to a document.
func follow(t *testing.T, d document) *follower {
	t.Helper()
	f := &follower{d, t, make(chan string, 16)}
	if err := d.listen(func(content string) { f.told <- content }); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *follower) mustPublish(content string) {
	f.t.Helper()
	if ok, err := f.publish(content); !ok || err != nil {
		f.t.Fatalf("PublishConfig(%q) = %t, %v", content, ok, err)
	}
}

// want waits until the listener is told, and demands that it is of this content.
func (f *follower) want(patience time.Duration, content string) {
	f.t.Helper()
	select {
	case got := <-f.told:
		if got != content {
			f.t.Fatalf("told of %q, want %q", got, content)
		}
	case <-time.After(patience):
		f.t.Fatalf("not told of %q in %s", content, patience)
	}
}

// mustTell publishes a content and waits until the listener is told of it, maybe after others.
func (f *follower) mustTell(content string) {
	f.t.Helper()
	f.mustPublish(content)
	for late := time.After(prompt); ; {
		select {
		case got := <-f.told:
			if got == content {
				return
			}
		case <-late:
			f.t.Fatalf("not told of %q in %s", content, prompt)
		}
	}
}

func (f *follower) wantRead(content string) {
	f.t.Helper()
	if got, err := f.read(); got != content || err != nil {
		f.t.Errorf("GetConfig() = %q, %v, want %q", got, err, content)
	}
}
