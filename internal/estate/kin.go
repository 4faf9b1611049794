package estate

import (
	"context"
	"strings"
)

// Kin is a stage host that may stand for a production host.
type Kin struct {
	ID, Name string
	Named    bool // the record of the production host names it
}

// KinOf gives the stage hosts of a host's release that may stand for it: the one its record names; else, of all, those
// that share most with it, of standard build, quorum group and ring, in this order of weight.
func (e *Estate) KinOf(ctx context.Context, host string) (kin []Kin, err error) {
	err = e.current(ctx, func(d *directory) error {
		of := d.byID[host]
		if of == nil {
			return nil
		}
		rec, best := d.records[d.recordOf[host]], 0
		for _, h := range d.byName {
			if h == of || h.cell[ByEnvironment] != "stage" || h.cell[ByRelease] != of.cell[ByRelease] || h.cell[ByState] == string(Retired) {
				continue
			}
			other := d.records[d.recordOf[h.id]]
			if rec.StageTwin != "" && (other.Hostname == rec.StageTwin || strings.ToLower(h.name) == rec.StageTwin) {
				kin = []Kin{{h.id, h.name, true}}
				return nil
			}
			shared := 0
			for _, pair := range [][2]string{{rec.Build, other.Build}, {rec.QuorumGroup, other.QuorumGroup}, {rec.Ring, other.Ring}} {
				if shared *= 2; pair[0] != "" && pair[0] == pair[1] {
					shared++
				}
			}
			if shared > best {
				kin, best = nil, shared
			}
			if shared == best {
				kin = append(kin, Kin{h.id, h.name, false})
			}
		}
		return nil
	})
	return kin, err
}
