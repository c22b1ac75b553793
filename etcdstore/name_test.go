package etcdstore_test

import "testing"

func TestNameStaysWithTheStore(t *testing.T) {
	client := startEtcd(t)
	one, two := runStore(t, client), runStore(t, client)
	if one.Name() == "" || one.Name() != two.Name() {
		t.Errorf("names of one store = %q and %q, want the same", one.Name(), two.Name())
	}
	if other := runStore(t, startEtcd(t)); other.Name() == "" || other.Name() == one.Name() {
		t.Errorf("name of another store = %q, want another one than %q", other.Name(), one.Name())
	}
}
