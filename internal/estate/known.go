package estate

import (
	"context"
	"strings"
)

// Known gives, by host ID, what each host is called, in lower case: its name, the name it reports, and its ID.
func (e *Estate) Known(ctx context.Context) (map[string][]string, error) {
	var all map[string][]string
	err := e.current(ctx, func(d *directory) error {
		all = make(map[string][]string, len(d.byName))
		for _, h := range d.byName {
			all[h.id] = strings.Fields(h.text)
		}
		return nil
	})
	return all, err
}
