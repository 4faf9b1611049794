package v1

import "github.com/patchwarrant/patchwarrant/internal/savedview"

// Views are saved views, a person's own before those of others.
type Views struct {
	Views []savedview.View `json:"views"`
}

// NewView asks to save a view.
type NewView struct {
	List   string `json:"list" enum:"vulnerabilities,hosts,changes"`
	Name   string `json:"name" maxLength:"200"`
	Query  string `json:"query" maxLength:"500" doc:"as in the address of the list's page"`
	Shared bool   `json:"shared"`
}
