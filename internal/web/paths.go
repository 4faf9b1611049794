package web

import "github.com/patchwarrant/patchwarrant/internal/staff"

// Route is a page or a form's target: its path is a pattern of net/http, its action empty where everyone may.
type Route struct {
	Method string       `json:"method"`
	Path   string       `json:"path"`   // as http.ServeMux takes it
	Action staff.Action `json:"action"` // empty: for everyone
}

// Routes gives the whole site: benchmarks and checks go through it.
func Routes() (all []Route) {
	for _, r := range routes {
		all = append(all, Route{r.method, r.path, r.action})
	}
	return all
}
