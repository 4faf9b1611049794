package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/draft"
)

// peopleFile is what people write: who they are, how they sign, and, if the shipped rules do not fit, the rules.
type peopleFile struct {
	Organisation          string `toml:"organisation"`
	ValidDays             int    `toml:"valid_days"`
	MaxCheckpointAgeHours int    `toml:"max_checkpoint_age_hours"`
	Person                []struct {
		ID    string   `toml:"id"`
		Name  string   `toml:"name"`
		Mail  string   `toml:"mail"`
		Roles []string `toml:"roles"`
		Scope []struct {
			Role      string   `toml:"role"`
			Platforms []string `toml:"platforms"`
			Units     []string `toml:"units"`
			Zones     []string `toml:"zones"`
		} `toml:"scope"`
		Keys []string `toml:"keys"` // authorized_keys lines, and IDs of passkeys (webauthn:…) that the last trust root has or that wait
	} `toml:"person"`
	Rule []struct {
		Class          string     `toml:"class"`
		Environments   []string   `toml:"environments"`
		Seats          [][]string `toml:"seats"`
		Local          int        `toml:"local"`
		MaxWindowHours int        `toml:"max_window_hours"`
	} `toml:"rule"`
}

// serverKeys is what `patchwarrantd init` prints.
type serverKeys struct {
	Origin        string `json:"origin"`
	LedgerKey     string `json:"ledger_key"`
	RepositoryKey string `json:"repository_key"`
}

func newTrustRootCommand() *cobra.Command {
	return noun("trust-root", "People, keys, roles and quorum rules: draft, scope, sign, join, advance, show", newTrustRootDraft(), newTrustRootScope(), newTrustRootSign(), newTrustRootJoin(), newTrustRootAdvance(), newTrustRootShow())
}

func newTrustRootDraft() *cobra.Command {
	var people, keys, previous, out string
	c := &cobra.Command{
		Use:   "draft --people FILE --server-keys FILE [--after FILE] -o FILE",
		Short: "Make a trust root from a file of people; then each of a quorum signs it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := draftRoot(people, keys, previous, pendingKeys(cmd.Context()), time.Now())
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
			fmt.Fprintf(cmd.OutOrStdout(), "trust root version %d of %s: %d people, %d rules\ndigest %s\nnext: patchwarrant trust-root sign %s\n",
				root.Version, orderview.Clean(root.Organisation), len(root.People), len(root.Rules), envelope.Digest(payload), out)
			return nil
		},
	}
	c.Flags().StringVar(&people, "people", "", "TOML file: organisation, [[person]], [[rule]]")
	c.Flags().StringVar(&keys, "server-keys", "", "JSON file that patchwarrantd init printed")
	c.Flags().StringVar(&previous, "after", "", "the trust root this one follows (for version 2 and later)")
	c.Flags().StringVarP(&out, "output", "o", "trust-root.json", "file to write")
	c.MarkFlagRequired("people")
	c.MarkFlagRequired("server-keys")
	return c
}

func draftRoot(peoplePath, keysPath, previousPath string, pending passkeys, now time.Time) (*trustroot.Root, error) {
	var p peopleFile
	meta, err := toml.DecodeFile(peoplePath, &p)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read %s: %w", peoplePath, err)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		return nil, fault.New(fault.Invalid, "read %s: unknown entry %s", peoplePath, extra[0])
	}
	keys, err := readServerKeys(keysPath)
	if err != nil {
		return nil, err
	}
	made := now.UTC().Truncate(time.Second)
	r := &trustroot.Root{
		Version: 1, Organisation: p.Organisation, MadeAt: made, ExpiresAt: made.AddDate(0, 0, cmp.Or(p.ValidDays, 365)),
		Rules:      draft.ShippedRules(),
		Ledger:     trustroot.Ledger{Origin: keys.Origin, Keys: []string{keys.LedgerKey}, MaxCheckpointAgeHours: cmp.Or(p.MaxCheckpointAgeHours, 24)},
		Repository: trustroot.Repository{Keys: []string{keys.RepositoryKey}},
	}
	if previousPath != "" {
		before, err := readEnvelope(previousPath)
		if err != nil {
			return nil, err
		}
		old, err := trustroot.Decode(before.Payload)
		if err != nil {
			return nil, err
		}
		r.Version, r.Previous = old.Version+1, old.Digest()
		pending = among(old, pending)
	}
	for _, person := range p.Person {
		q := trustroot.Person{ID: person.ID, Name: person.Name, Mail: person.Mail, Roles: person.Roles, Keys: []envelope.Key{}}
		for _, scope := range person.Scope {
			q.Scopes = append(q.Scopes, trustroot.Scope(scope))
		}
		for _, line := range person.Keys {
			k, err := keyOf(person.ID, line, pending)
			if err != nil {
				return nil, fmt.Errorf("person %s: %w", person.ID, err)
			}
			q.Keys = append(q.Keys, k)
		}
		r.People = append(r.People, q)
	}
	if len(p.Rule) > 0 {
		r.Rules = nil
	}
	for _, rule := range p.Rule {
		r.Rules = append(r.Rules, trustroot.Rule(rule))
	}
	return r, nil
}

// passkeys finds a passkey of a person by its ID.
type passkeys func(person, id string) (envelope.Key, error)

// keyOf gives the key that a line of the people file means.
func keyOf(person, line string, find passkeys) (envelope.Key, error) {
	if strings.HasPrefix(line, envelope.WebAuthn+":") {
		return find(person, line)
	}
	return sshkey.Read(line)
}

// among looks for a passkey in a trust root first.
func among(old *trustroot.Root, otherwise passkeys) passkeys {
	return func(person, id string) (envelope.Key, error) {
		p, _ := old.Person(person)
		for _, k := range p.Keys {
			if k.ID == id {
				return k, nil
			}
		}
		return otherwise(person, id)
	}
}

// pendingKeys looks for a passkey among those that wait at the server. Naming it in the people file is what lets it in:
// the server cannot slip one into a draft.
func pendingKeys(ctx context.Context) passkeys {
	return func(person, id string) (envelope.Key, error) {
		c, err := connect()
		if err != nil {
			return envelope.Key{}, err
		}
		var waiting v1.Passkeys
		if err := c.get(ctx, "/people/pending-keys", &waiting); err != nil {
			return envelope.Key{}, err
		}
		for _, p := range waiting.Passkeys {
			if p.Person == person && p.Key.ID == id {
				return p.Key, nil
			}
		}
		return envelope.Key{}, fault.New(fault.NotFound, "passkey %s is neither in the last trust root nor waits at the server for this person", id)
	}
}

func readServerKeys(path string) (serverKeys, error) {
	var k serverKeys
	b, err := readBounded(path)
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(b, &k); err != nil || k.Origin == "" || k.LedgerKey == "" || k.RepositoryKey == "" {
		return k, fault.New(fault.Invalid, "%s is not what patchwarrantd init prints (origin, ledger_key, repository_key)", path)
	}
	return k, nil
}

func newTrustRootSign() *cobra.Command {
	var key, person string
	c := &cobra.Command{
		Use:   "sign FILE",
		Short: "Read a trust root, show it, and add your signature",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := readEnvelope(args[0])
			if err != nil {
				return err
			}
			root, err := trustroot.Decode(e.Payload)
			if err != nil {
				return err
			}
			showRoot(cmd.OutOrStdout(), root)
			available, err := signers(key)
			if err != nil {
				return err
			}
			var wanted []envelope.Key
			for _, p := range root.People {
				if person == "" || p.ID == person {
					wanted = append(wanted, p.Keys...)
				}
			}
			s, err := sign(available, wanted, trustroot.PayloadType, e.Payload)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(e.Signatures, func(old envelope.Signature) bool { return old.KeyID == s.KeyID }) {
				return fault.New(fault.Conflict, "%s is already signed with key %s", args[0], s.KeyID)
			}
			e.Signatures = append(e.Signatures, s)
			if err := writeEnvelope(args[0], e); err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "signed with %s; %d signatures now", s.KeyID, len(e.Signatures))
			if approvals, err := root.Approvals(e); err != nil || root.Quorum(trustroot.TrustRoot, "", approvals) != nil {
				say(cmd.OutOrStdout(), "next: others sign it too")
			} else if root.Version == 1 {
				say(cmd.OutOrStdout(), "next, on the server: patchwarrantd trust-root install %s --sha256 %s", args[0], root.Digest())
			} else {
				say(cmd.OutOrStdout(), "next: patchwarrant trust-root advance %s", args[0])
			}
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "private key file (default: ssh-agent)")
	c.Flags().StringVar(&person, "person", "", "sign only with a key of this person")
	return c
}

func newTrustRootAdvance() *cobra.Command {
	return verb("advance FILE", "Put a signed trust root in force in place of its predecessor", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (r v1.TrustRoot, err error) {
			e, err := readEnvelope(args[0])
			if err != nil {
				return r, err
			}
			return r, c.post(ctx, "/trust-roots", e, &r)
		}, func(w io.Writer, r v1.TrustRoot) {
			say(w, "trust root version %d is in force until %s; sha256 %s", r.Version, moment(r.ExpiresAt), orderview.Clean(r.SHA256))
		})
}

func newTrustRootShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Show a trust root and whether it stands under its own quorum",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := readEnvelope(args[0])
			if err != nil {
				return err
			}
			root, err := trustroot.Decode(e.Payload)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), root)
			}
			showRoot(cmd.OutOrStdout(), root)
			approvals, err := root.Approvals(e)
			if err == nil {
				err = root.Quorum(trustroot.TrustRoot, "", approvals)
			}
			if err != nil {
				fmt.Fprintf(cmd.OutOrStdout(), "not in force: %v\n", err)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "signed by a quorum of its own people\n")
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the document as JSON")
	return c
}

// showRoot prints all that a signature under r vouches for. The file may come from anybody: its texts are escaped.
func showRoot(w io.Writer, r *trustroot.Root) {
	say(w, "trust root version %d of %s\n  digest   %s\n  follows  %s\n  made     %s\n  expires  %s\n  ledger   %s, checkpoints at most %d h old", r.Version,
		orderview.Clean(r.Organisation), r.Digest(), cmp.Or(r.Previous, "nothing: it is the first"), r.MadeAt.Format(time.RFC3339),
		r.ExpiresAt.Format(time.RFC3339), orderview.Clean(r.Ledger.Origin), r.Ledger.MaxCheckpointAgeHours)
	for _, k := range r.Ledger.Keys {
		say(w, "             key %s", orderview.Clean(k))
	}
	for _, k := range r.Repository.Keys {
		say(w, "  packages   OpenPGP key, sha256 of its armour %s", envelope.Digest([]byte(k)))
	}
	for _, p := range r.People {
		say(w, "  person   %-16s %s %s (%s)", orderview.Clean(p.ID), orderview.Clean(p.Name), orderview.Clean(p.Mail), orderview.Clean(strings.Join(p.Roles, ", ")))
		for _, x := range p.Scopes {
			say(w, "             as %s only for %s", orderview.Clean(x.Role), orderview.Clean(limits(x)))
		}
		for _, k := range p.Keys {
			say(w, "             %s %s%s", orderview.Clean(k.Kind), orderview.Clean(k.ID), orderview.Clean(strings.Join(append([]string{""}, k.Origins...), " on ")))
		}
	}
	for _, rule := range r.Rules {
		seats := make([]string, len(rule.Seats))
		for i, s := range rule.Seats {
			seats[i] = strings.Join(s, " or ")
		}
		line := fmt.Sprintf("  rule     %-16s %s; %d signed by the command line", rule.Class, strings.Join(seats, " + "), rule.Local)
		if rule.MaxWindowHours > 0 {
			line += fmt.Sprintf("; window at most %d h", rule.MaxWindowHours)
		}
		if len(rule.Environments) > 0 {
			line += "; only " + strings.Join(rule.Environments, ", ")
		}
		say(w, "%s", orderview.Clean(line))
	}
}

func readEnvelope(path string) (envelope.Envelope, error) {
	var e envelope.Envelope
	b, err := readBounded(path)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(b, &e); err != nil || e.PayloadType == "" {
		return e, fault.New(fault.Invalid, "%s is not a signed document (a JSON envelope)", path)
	}
	return e, nil
}

// writeEnvelope replaces the file whole or not at all.
func writeEnvelope(path string, e envelope.Envelope) error {
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// readBounded reads a document of at most 4 MiB.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<20+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > 4<<20 {
		return nil, fault.New(fault.Invalid, "%s is over 4 MiB", path)
	}
	return b, nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
