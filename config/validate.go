package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

func (d *Draft) validate() error {
	if err := d.Key.Validate(); err != nil {
		return err
	}
	switch {
	case len(d.Content) > MaxContent:
		return invalid("content", strconv.Itoa(len(d.Content))+" bytes", "is over "+strconv.Itoa(MaxContent)+" bytes")
	case strings.TrimSpace(string(d.Content)) == "":
		return invalid("content", "", "is blank")
	case !utf8.Valid(d.Content):
		return invalid("content", "", "is not valid UTF-8")
	case utf8.RuneCountInString(d.Desc) > maxDesc:
		return invalid("desc", d.Desc, "is longer than "+strconv.Itoa(maxDesc)+" characters")
	case utf8.RuneCountInString(d.App) > maxDesc:
		return invalid("app", d.App, "is longer than "+strconv.Itoa(maxDesc)+" characters")
	case len(d.Tags) > maxTags:
		return invalid("tags", strings.Join(d.Tags, ","), "are more than "+strconv.Itoa(maxTags))
	}
	for _, t := range d.Tags {
		if t == "" || utf8.RuneCountInString(t) > maxTag {
			return invalid("tags", t, "must be 1 to "+strconv.Itoa(maxTag)+" characters")
		}
	}
	return nil
}
