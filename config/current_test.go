package config_test

import (
	"context"
	"errors"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

// lagging is a store as a server sees it whose watch is slow: what others commit
// shows once it commits by itself, or asks for the newest revision.
type lagging struct {
	*configtest.Store

	view config.View
}

func (l *lagging) View() *config.View { return &l.view }

func (l *lagging) catchUp() { l.view.Publish(l.Store.View().Snapshot()) }

func (l *lagging) Commit(ctx context.Context, w config.Write) (int64, error) {
	defer l.catchUp()
	return l.Store.Commit(ctx, w)
}

func (l *lagging) Newest(ctx context.Context) (int64, error) {
	defer l.catchUp()
	return l.Store.Newest(ctx)
}

// What a server does not show yet must not lead it to refuse, or to acknowledge
// what it did not do.
func TestNothingIsDecidedOnOldNews(t *testing.T) {
	store := configtest.NewStore()
	behind := &lagging{Store: store}
	behind.catchUp()
	quick, slow := config.New(store, config.Config{}), config.New(behind, config.Config{})
	k := config.Key{Namespace: "public", Group: "g", DataID: "d"}
	first, _, err := quick.Publish(t.Context(), config.Draft{Key: k, Content: []byte("one")})
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := slow.Publish(t.Context(), config.Draft{Key: k, Content: []byte("two"), If: config.Condition{Exists: true, MD5: first.MD5}})
	if err != nil || second.Seq != 2 {
		t.Fatalf("Publish() over a document that this server does not show yet = %+v, %v, want number 2", second, err)
	}
	if existed, _, err := quick.Delete(t.Context(), k, config.Condition{}, config.Author{}); err != nil || !existed {
		t.Fatalf("Delete() = %t, %v", existed, err)
	}
	if existed, _, err := slow.Delete(t.Context(), k, config.Condition{MD5: first.MD5}, config.Author{}); err != nil || existed {
		t.Errorf("Delete() of what another server has deleted = %t, %v, want nothing to delete", existed, err)
	}
	if _, _, err := quick.Publish(t.Context(), config.Draft{Key: k, Content: []byte("three")}); err != nil {
		t.Fatal(err)
	}
	if existed, _, err := slow.Delete(t.Context(), k, config.Condition{}, config.Author{}); err != nil || !existed {
		t.Errorf("Delete() of what this server does not show yet = %t, %v, want it deleted", existed, err)
	}
	if store.View().Snapshot().Head(k) != nil {
		t.Error("the document stands after an acknowledged delete")
	}
	if _, _, err := slow.Publish(t.Context(), config.Draft{Key: k, Content: []byte("four"), If: config.Condition{Exists: true}}); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Publish() only over a document = %v, want ErrConflict", err)
	}
}
