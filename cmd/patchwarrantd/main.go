// Patchwarrantd is the server: sources, triage, curation, changes, evidence, and the doors of people and agents.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // templates name time zones; the host need not have their rules

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/spf13/cobra"
	_ "modernc.org/sqlite"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/server"
)

func main() {
	syscall.Umask(0o077) // what the server keeps, the list of open holes included, is for its user alone
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "patchwarrantd: "+complaint(err))
		stop()
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "patchwarrantd",
		Short:         "The Patchwarrant server",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	config := root.PersistentFlags().String("config", "/etc/patchwarrant/server.toml", "configuration file")
	trust := &cobra.Command{Use: "trust-root", Short: "The document that says who may"}
	trust.AddCommand(installCommand(config))
	root.AddCommand(initCommand(config), serveCommand(config), trust)
	return root
}

func initCommand(config *string) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Make the server's keys where they are missing, and print their public parts for the trust root",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := server.Load(*config)
			if err != nil {
				return err
			}
			keys, err := server.Init(conf, time.Now)
			if err != nil {
				return err
			}
			identity, err := keys.Identity(conf.Origin)
			if err != nil {
				return err
			}
			return print(c, identity)
		},
	}
}

func print(c *cobra.Command, v any) error {
	out := json.NewEncoder(c.OutOrStdout())
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

func installCommand(config *string) *cobra.Command {
	c := &cobra.Command{
		Use:   "install FILE",
		Short: "Put the first trust root in force: a signed envelope, pinned by the digest its people agreed on",
		Args:  cobra.ExactArgs(1),
	}
	digest := c.Flags().String("sha256", "", "digest of the payload, from the people who signed it")
	if err := c.MarkFlagRequired("sha256"); err != nil {
		panic(err)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		var e envelope.Envelope
		if err := json.Unmarshal(b, &e); err != nil {
			return fmt.Errorf("%s is not an envelope: %w", args[0], err)
		}
		s, err := open(c.Context(), *config)
		if err != nil {
			return err
		}
		defer s.Close()
		r, err := s.Staff.Install(c.Context(), e, *digest)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "trust root version %d of %s is in force\n", r.Version, r.Organisation)
		return err
	}
	return c
}

func serveCommand(config *string) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the server until it is told to stop",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open(c.Context(), *config)
			if err != nil {
				return err
			}
			defer s.Close()
			link, expires, err := s.BootstrapLink(c.Context())
			if err != nil {
				return err
			}
			if link != "" {
				fmt.Fprintf(c.OutOrStdout(), "No trust root is in force. This link opens the set-up, once, until %s:\n%s\n",
					expires.Format(time.RFC3339), link)
			}
			return s.Serve(c.Context())
		},
	}
}

func open(ctx context.Context, config string) (*server.Server, error) {
	conf, err := server.Load(config)
	if err != nil {
		return nil, err
	}
	return server.Open(ctx, conf, time.Now, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
}

// complaint is an error's text, with the code of the attack it looks like.
func complaint(err error) string {
	if code := fault.CodeOf(err); code != "" {
		return err.Error() + " (" + code + ")"
	}
	return err.Error()
}
