package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// newTrustRootJoin signs the first trust root of a server that is being set up. The server is not believed: what is signed
// is shown, must have the digest that the people read to each other, and must name the signer's own key.
func newTrustRootJoin() *cobra.Command {
	var s session
	var invitation, digest string
	var asJSON bool
	c := &cobra.Command{
		Use:   "join --server URL --ca SHA256 --invitation SECRET [--key FILE] [--digest SHA256]",
		Short: "Show and sign the first trust root of a server that is being set up",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(s)
			if err != nil {
				return err
			}
			signed, err := join(cmd.Context(), c, invitation, digest)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), signed)
			}
			next := "others sign it too; the page shows who did"
			if signed.InForce {
				next = "it is in force: sign in"
			}
			say(cmd.OutOrStdout(), "signed as %s with %s\n%s", orderview.Clean(signed.Person), orderview.Clean(signed.Key), next)
			return nil
		},
	}
	c.Flags().StringVar(&s.Server, "server", "", "https://HOST:PORT of the people's door")
	c.Flags().StringVar(&s.CA, "ca", "", "SHA-256 of the server's CA certificate")
	c.Flags().StringVar(&s.Key, "key", "", "private key file (default: ssh-agent)")
	c.Flags().StringVar(&invitation, "invitation", "", "the secret in the line that the page shows")
	c.Flags().StringVar(&digest, "digest", "", "the document's sha256 as the page shows it (default: asks for it)")
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	for _, name := range []string{"server", "ca", "invitation"} {
		c.MarkFlagRequired(name)
	}
	return c
}

func join(ctx context.Context, c *client, invitation, digest string) (signed v1.FirstSigned, err error) {
	available, err := signers(c.Key)
	if err != nil {
		return signed, err
	}
	var in v1.LoggedIn
	if err := c.post(ctx, "/login/invitation", v1.Link{Secret: invitation}, &in); err != nil {
		return signed, err
	}
	c.Token = in.Token
	var p v1.Payload
	if err := c.get(ctx, "/bootstrap/draft", &p); err != nil {
		return signed, err
	}
	root, err := trustroot.Decode(p.Payload)
	if err != nil {
		return signed, err
	}
	if root.Version != 1 {
		return signed, fault.New(fault.Denied, "the server shows version %d, which is no first trust root: nothing was signed", root.Version)
	}
	showRoot(os.Stderr, root)
	if err := agreed(root.Digest(), digest); err != nil {
		return signed, err
	}
	person, _ := root.Person(in.Person)
	sig, err := sign(available, person.Keys, trustroot.PayloadType, p.Payload)
	if err != nil {
		return signed, err
	}
	return signed, c.post(ctx, "/bootstrap/signatures", v1.FirstSignature{SHA256: root.Digest(), Signature: sig}, &signed)
}

// agreed demands the digest that the person has from the page, or from the others, for what is about to be signed.
func agreed(actual, given string) error {
	if given == "" {
		fmt.Fprint(os.Stderr, "To sign exactly this, paste the sha256 that the set-up page shows: ")
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			return fault.New(fault.Invalid, "no answer: nothing was signed (scripts give --digest)")
		}
		given = line
	}
	given = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(given)), "sha256:")
	if !envelope.ValidDigest(given) {
		return fault.New(fault.Invalid, "that is no sha256: nothing was signed")
	}
	if given != actual {
		return fault.New(fault.Conflict, "this document's sha256 is %s, not the one you gave: somebody changed it; nothing was signed", actual)
	}
	return nil
}
