package server_test

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
)

// TestDatagramsHideNoLogin asks for transfers over UDP from more addresses than the log has
// room for: what others try meanwhile is recorded.
func TestDatagramsHideNoLogin(t *testing.T) {
	dir := t.TempDir()
	s, _ := keyed(t, "on", dir)
	to, err := net.ResolveUDPAddr("udp", s.Addresses().DNS)
	if err != nil {
		t.Fatal(err)
	}
	packet, err := new(dns.Msg).SetAxfr("muster.internal.").Pack()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2200 {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 9, byte(n/250), byte(n%250+1))}, to)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Write(packet)
		if err == nil { // one after the other: none is to be lost
			err = conn.SetReadDeadline(time.Now().Add(time.Minute))
		}
		if err == nil {
			_, err = conn.Read(make([]byte, 512))
		}
		if err := errors.Join(err, conn.Close()); err != nil {
			t.Fatal(err)
		}
	}
	login := `{"user":"victim","password":"a wrong password"}`
	if status, _, answer := callAs(t, "", http.MethodPost, base(s)+api.PathLogin, "application/json", login); status != http.StatusUnauthorized {
		t.Fatalf("login = %d %s", status, answer)
	}
	if all := recorded(t, dir); !slices.ContainsFunc(all, func(r audit.Record) bool { return r.Op == "login" && r.Who == "victim" }) {
		t.Errorf("of %d records none is of the login", len(all))
	}
}
