package oidc

import "time"

// Forget has a provider asked again, although it has just failed.
func Forget(p *Provider) { p.until = time.Time{} }
