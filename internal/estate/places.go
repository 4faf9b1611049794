package estate

import (
	"cmp"
	"context"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// place is where a host stands: the distribution by its own word, unit and zone by its record.
func (e *entry) place() trustroot.Place {
	return trustroot.Place{Platform: e.distribution, Unit: e.cell[ByUnit], Zone: e.cell[ByZone]}
}

// PlacesOf gives where hosts stand, each place once, sorted. Of a host not known nothing is known.
func (e *Estate) PlacesOf(ctx context.Context, hosts []string) (places []trustroot.Place, err error) {
	err = e.current(ctx, func(d *directory) error {
		distinct := map[trustroot.Place]bool{}
		for _, id := range hosts {
			var p trustroot.Place
			if h := d.byID[id]; h != nil {
				p = h.place()
			}
			if !distinct[p] {
				distinct[p], places = true, append(places, p)
			}
		}
		return nil
	})
	slices.SortFunc(places, func(a, b trustroot.Place) int {
		return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Zone, b.Zone))
	})
	return places, err
}

// PlaceOfEach gives where each of some hosts stands, by ID; nowhere for one that is not known.
func (e *Estate) PlaceOfEach(ctx context.Context, hosts []string) (places map[string]trustroot.Place, err error) {
	err = e.current(ctx, func(d *directory) error {
		places = make(map[string]trustroot.Place, len(hosts))
		for _, id := range hosts {
			if h := d.byID[id]; h != nil {
				places[id] = h.place()
			}
		}
		return nil
	})
	return places, err
}

// Places gives where every host stands, by ID.
func (e *Estate) Places(ctx context.Context) (places map[string]trustroot.Place, err error) {
	err = e.current(ctx, func(d *directory) error {
		places = make(map[string]trustroot.Place, len(d.byID))
		for id, h := range d.byID {
			places[id] = h.place()
		}
		return nil
	})
	return places, err
}

// Platforms counts the hosts in service by the distribution that they report. Nobody changes the map.
func (e *Estate) Platforms(ctx context.Context) (platforms map[string]int, err error) {
	err = e.current(ctx, func(d *directory) error {
		if known := d.platforms.Load(); known != nil {
			platforms = *known
			return nil
		}
		platforms = map[string]int{}
		for _, h := range d.byName {
			if h.cell[ByState] != string(Retired) {
				platforms[h.distribution]++
			}
		}
		d.platforms.Store(&platforms)
		return nil
	})
	return platforms, err
}
