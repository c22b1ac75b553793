package sdk_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/vo"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

func TestGoClientRegistersUpdatesAndDeregisters(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := newGoClient(t, s)
	// What the client writes into a PUT without any escape, as the beat: signs that look like escapes, and are none.
	metadata := map[string]string{"range": "10%;x=y", "name": "größe +1"}
	register(t, c, vo.RegisterInstanceParam{ServiceName: "pay", Ip: "192.0.2.1", Port: 80, Weight: 2.5, ClusterName: "bj", Metadata: metadata})
	register(t, c, vo.RegisterInstanceParam{ServiceName: "pay", GroupName: "night", Ip: "192.0.2.9", Port: 80})
	s.awaitList(prompt, "public", "pay",
		"192.0.2.1:80 cluster bj weight 2.5 healthy true metadata map[name:größe +1 range:10%;x=y]")
	s.awaitList(prompt, "public", "night@@pay", "192.0.2.9:80 cluster DEFAULT weight 1 healthy true metadata map[]")

	all, err := c.GetAllServicesInfo(vo.GetAllServiceInfoParam{})
	if err != nil || all.Count != 1 || len(all.Doms) != 1 || all.Doms[0] != "pay" {
		t.Errorf("GetAllServicesInfo() = %+v, %v, want pay alone", all, err)
	}

	ok, err := c.UpdateInstance(vo.UpdateInstanceParam{ServiceName: "pay", Ip: "192.0.2.1", Port: 80, ClusterName: "bj", Ephemeral: true,
		Weight: 7, Enable: true, Metadata: map[string]string{"range": "11%;x=z"}})
	if !ok || err != nil {
		t.Errorf("UpdateInstance() = %t, %v", ok, err)
	}
	s.awaitList(prompt, "public", "pay",
		"192.0.2.1:80 cluster bj weight 7 healthy true metadata map[name:größe +1 range:11%;x=z]")

	ok, err = c.DeregisterInstance(vo.DeregisterInstanceParam{ServiceName: "pay", Ip: "192.0.2.1", Port: 80, Cluster: "bj", Ephemeral: true})
	if !ok || err != nil {
		t.Errorf("DeregisterInstance() = %t, %v", ok, err)
	}
	s.awaitList(prompt, "public", "pay", "")
	// A beat that was under way must not bring it back.
	if binary.Poll(6*time.Second, func() bool { return s.list("public", "pay") != "" }, nil) {
		t.Errorf("after it was deregistered: %s", s.list("public", "pay"))
	}
}

func TestGoClientSelectsByWeight(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := newGoClient(t, s)
	for ip, weight := range map[string]float64{"192.0.2.1": 1, "192.0.2.2": 2, "192.0.2.3": 7} {
		register(t, c, vo.RegisterInstanceParam{ServiceName: "pay", Ip: ip, Port: 80, Weight: weight})
	}
	unfit := map[string]string{"192.0.2.4": "healthy", "192.0.2.5": "enabled"}
	for ip, flag := range unfit {
		p := instance("pay", ip, 80)
		p.Set(flag, "false")
		s.write(http.MethodPost, "/nacos/v1/ns/instance", p)
	}
	zero := instance("pay", "192.0.2.6", 80)
	zero.Set("weight", "0")
	s.write(http.MethodPost, "/nacos/v1/ns/instance", zero)

	counts := make(map[string]int)
	for range 10_000 {
		i, err := c.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{ServiceName: "pay"})
		if err != nil {
			t.Fatal(err)
		}
		counts[i.Ip]++
	}
	if len(counts) != 3 {
		t.Errorf("selected %v, want only what is healthy, enabled and has weight", counts)
	}
	lab.WantShares(t, "selected", []int{counts["192.0.2.1"], counts["192.0.2.2"], counts["192.0.2.3"]}, []float64{1, 2, 7})

	healthy, err := c.SelectInstances(vo.SelectInstancesParam{ServiceName: "pay", HealthyOnly: true})
	if err != nil || len(healthy) != 3 {
		t.Errorf("SelectInstances(healthy) = %v, %v, want 3", healthy, err)
	}
	all, err := c.SelectAllInstances(vo.SelectAllInstancesParam{ServiceName: "pay"})
	if err != nil || len(all) != 5 {
		t.Errorf("SelectAllInstances() = %v, %v, want 5: all but the disabled one", all, err)
	}
}
