package dnsd

// Admit is the engine's test of a packet.
var Admit = admit
