package api

import (
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Page is a part of a list. Without a limit the whole list comes.
type Page struct {
	Limit int    `query:"limit" minimum:"0" maximum:"1000" default:"0" doc:"at most so many; 0: all"`
	After string `query:"after" maxLength:"400" doc:"go on after this one, the last of the page before"`
}

// part is a page of what belongs to something named.
type part struct {
	Named
	Page
}

// pageOf takes the page from a list in memory whose elements are named by name. It is a Conflict where the last one of the page before
// has left the list: where to go on is not known, and to begin again would tell some twice.
func pageOf[T any](all []T, p Page, name func(T) string) ([]T, error) {
	if p.After != "" {
		i := slices.IndexFunc(all, func(x T) bool { return name(x) == p.After })
		if i < 0 {
			return nil, fault.New(fault.Conflict, "the list changed: %.200q is not in it any more; begin with its first page", p.After)
		}
		all = all[i+1:]
	}
	if p.Limit > 0 {
		all = all[:min(len(all), p.Limit)]
	}
	return all, nil
}
