package estate

import (
	"context"
	"strings"
)

// Known gives, by host ID, what each host is called, in lower case: its name, the name it reports, its ID, and what its
// record in the inventory says: host name and addresses.
func (e *Estate) Known(ctx context.Context) (map[string][]string, error) {
	var all map[string][]string
	err := e.current(ctx, func(d *directory) error {
		all = make(map[string][]string, len(d.byName))
		for _, h := range d.byName {
			all[h.id] = strings.Fields(h.text)
		}
		return nil
	})
	if err != nil || e.Records == nil {
		return all, err
	}
	records, _, err := e.Records.Since(ctx, 0)
	for _, r := range records {
		if r.Host != "" && r.DroppedAt.IsZero() {
			all[r.Host] = append(append(all[r.Host], strings.ToLower(r.Hostname)), r.Addresses...)
		}
	}
	return all, err
}
