package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/draft"
)

func newTrustRootScope() *cobra.Command {
	var s trustroot.Scope
	var after, out string
	c := &cobra.Command{
		Use:   "scope PERSON ROLE [--platform NAME]... [--unit NAME]... [--zone NAME]... [--after FILE] -o FILE",
		Short: "Draft the next trust root, in which a person's role counts only for some hosts; without a limit it counts everywhere again",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := latestRoot(cmd, after)
			if err != nil {
				return err
			}
			s.Role = args[1]
			root, err := draft.Scoped(before, args[0], s, time.Now())
			if err != nil {
				return err
			}
			payload, err := root.Encode()
			if err != nil {
				return err
			}
			if err := writeEnvelope(out, envelope.Envelope{PayloadType: trustroot.PayloadType, Payload: payload, Signatures: []envelope.Signature{}}); err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "trust root version %d: %s as %s counts for %s\ndigest %s\nnext: patchwarrant trust-root sign %s",
				root.Version, orderview.Clean(args[0]), orderview.Clean(s.Role), orderview.Clean(limits(s)), envelope.Digest(payload), out)
			return nil
		},
	}
	c.Flags().StringArrayVar(&s.Platforms, "platform", nil, "a distribution, as hosts report it, such as debian (repeatable)")
	c.Flags().StringArrayVar(&s.Units, "unit", nil, "a business unit of the inventory (repeatable)")
	c.Flags().StringArrayVar(&s.Zones, "zone", nil, "a zone of the inventory (repeatable)")
	c.Flags().StringVar(&after, "after", "", "the trust root this one follows (default: the one in force at the server)")
	c.Flags().StringVarP(&out, "output", "o", "trust-root.json", "file to write")
	return c
}

// latestRoot reads a trust root from a file, or gives the one in force at the server. Who signs its successor sees all of it.
func latestRoot(cmd *cobra.Command, file string) (*trustroot.Root, error) {
	if file != "" {
		e, err := readEnvelope(file)
		if err != nil {
			return nil, err
		}
		return trustroot.Decode(e.Payload)
	}
	c, err := connect()
	if err != nil {
		return nil, err
	}
	var chain v1.TrustRoots
	if err := c.get(cmd.Context(), "/trust-roots", &chain); err != nil {
		return nil, err
	}
	if len(chain.Roots) == 0 {
		return nil, fault.New(fault.NotFound, "the server has no trust root")
	}
	return trustroot.Decode(chain.Roots[len(chain.Roots)-1].Payload)
}

// limits says what a scope limits a role to.
func limits(s trustroot.Scope) string {
	var parts []string
	for _, l := range []struct {
		name string
		of   []string
	}{{"platform", s.Platforms}, {"unit", s.Units}, {"zone", s.Zones}} {
		if len(l.of) > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", l.name, strings.Join(l.of, " or ")))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "all hosts")
}
