package command

// ParseStat reads what /proc says of a process.
var ParseStat = parseStat
