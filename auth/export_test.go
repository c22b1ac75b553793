package auth

import "testing"

// Secret returns the id and the secret of the key that signs now, for tests that sign
// what no server would.
func (a *Authority) Secret(t testing.TB) (id string, secret []byte) {
	t.Helper()
	keys, err := a.keys()
	if err != nil {
		t.Fatal(err)
	}
	key, ok := keys.signer(a.cfg.Now())
	if !ok {
		t.Fatal("there is no key")
	}
	return key.id, key.secret
}
