package api

import "slices"

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

// pageOf takes the page from a list in memory whose elements are named by name.
func pageOf[T any](all []T, p Page, name func(T) string) []T {
	if p.After != "" {
		all = all[slices.IndexFunc(all, func(x T) bool { return name(x) == p.After })+1:]
	}
	if p.Limit > 0 {
		all = all[:min(len(all), p.Limit)]
	}
	return all
}
