package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/vex"
)

// Exporter gathers the decisions in force for documents that other programs read, and the IDs of those it must leave out.
type Exporter interface {
	VEX(ctx context.Context) (vex.Input, []string, error)
}

// exports: what is decided here, in the words of others.
func (d *door) exports() {
	serve(d, operation{"export-vex", http.MethodGet, "/exports/vex/{format}", "The decisions in force for the whole fleet as VEX", staff.Read}, d.vex)
}

type vexFormat struct {
	Format string `path:"format" enum:"openvex,csaf"`
}

func (d *door) vex(ctx context.Context, _ staff.Session, in *vexFormat) (out v1.VEX, err error) {
	input, left, err := d.Exporter.VEX(ctx)
	if err != nil {
		return out, err
	}
	write := vex.OpenVEX
	if in.Format == "csaf" {
		write = vex.CSAF
	}
	out.LeftOut, out.Statements = list(left), len(input.Decided)
	out.Document, err = write(input)
	return out, err
}
