package server_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/freeport"
	"github.com/musterhq/muster/server"
)

func TestNacosBesideOurOwnAPI(t *testing.T) {
	s, _ := start(t, server.Config{})
	for _, c := range []struct{ path, want string }{ // in this order: calls are counted from the first one on
		{"/v3/console/server/state", `"startup_mode":"standalone"`},
		{"/v1/console/namespaces", `"namespaceShowName":"public"`},
		{"/v1/ns/service/list?pageNo=1&pageSize=1", `"doms":[]`},
		{"/nacos/actuator/prometheus", "nacos_monitor{module=\"naming\",name=\"serviceCount\"} 0"},
		{"/metrics", "http_server_requests_seconds"},
		{"/nacos/serverlist", s.Addresses().HTTP},
		{"/nacos/v1/ns/operator/distro/client?ip=1&port=1", s.Addresses().HTTP},
		{api.PathStatus, `"ready":true`},
	} {
		if status, body := get(t, base(s)+c.path); status != http.StatusOK || !strings.Contains(body, c.want) {
			t.Errorf("GET %s = %d %.300s, want %q in it", c.path, status, body, c.want)
		}
	}
}

func TestClientsOfNacosAreTold(t *testing.T) {
	leaves, err := freeport.Keep("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, server.Config{Push: fmt.Sprintf("127.0.0.1:%d", leaves)})
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	port := strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		base(s)+"/nacos/v1/ns/instance/list?serviceName=told&clientIP=127.0.0.1&udpPort="+port, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Nacos-Go-Client:v1.1.4")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	var told struct{ Type, Data string }
	if err != nil || json.Unmarshal(buf[:n], &told) != nil || told.Type != "dom" || !strings.Contains(told.Data, "DEFAULT_GROUP@@told") {
		t.Errorf("push = %s, %v", buf[:n], err)
	}
	if from.Port() != leaves {
		t.Errorf("it came from %v, want port %d", from, leaves)
	}
}
