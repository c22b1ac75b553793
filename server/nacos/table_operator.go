package nacos

var operatorOps = []op{
	{"Metrics", "State and counts of this server", []Parameter{
		query("onlyStatus", "Leave the counts out; true when absent").as("boolean")}, object("State"), nothing,
		(*Handler).metrics, at(get, "/operator/metrics", naming1)},
}
