package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
)

func newVEXCommand() *cobra.Command {
	var format, file string
	export := verb("export", "Write the decisions in force for the whole fleet as VEX, so that other scanners agree", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (doc v1.VEX, err error) {
			if err := c.get(ctx, "/exports/vex/"+segment(format), &doc); err != nil || file == "" {
				return doc, err
			}
			return doc, os.WriteFile(file, doc.Document, 0o644)
		}, func(w io.Writer, doc v1.VEX) {
			if file == "" {
				_, _ = w.Write(doc.Document)
				return
			}
			say(w, "%d decisions written, %d left out", doc.Statements, len(doc.LeftOut))
		})
	export.Flags().StringVar(&format, "format", "openvex", "openvex or csaf")
	export.Flags().StringVarP(&file, "output", "o", "", "file to write; without it the document is printed")
	return noun("vex", "Decisions for other scanners: export", export)
}
