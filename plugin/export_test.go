package plugin

// CookieIn is what a packet's cookie is read with before the packet is.
var CookieIn = cookieIn
