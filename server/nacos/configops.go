package nacos

import "net/http"

// status200 is how version 1 says that an order was taken.
const status200 = "200"

// taken answers an order that there is nothing to do for: contents are not dumped
// to disk, and log levels are settings of the process.
func (h *Handler) taken(c *call) (any, error) {
	for _, p := range c.takes {
		if p.Required && c.value(p.Name) == "" {
			return nil, absent{p.Name}
		}
	}
	if c.form == wrapped {
		return nil, nil
	}
	return status200, nil
}

// noDerby refuses what is for a database that Nacos may have inside.
func (h *Handler) noDerby(c *call) (any, error) {
	r := refuse(http.StatusInternalServerError, "The current storage mode is not Derby").as(functionDisabled)
	return nil, r
}
