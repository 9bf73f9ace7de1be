package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
)

func (m *Main) tokenCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{Use: "token", GroupID: "admin", Short: "Make, list and revoke tokens"}
	m.placeFlags(cmd, &p)
	cmd.AddCommand(m.tokenCreate(&p),
		&cobra.Command{
			Use: "list", Short: "List tokens, without their secrets", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return m.show(cmd, &p, http.MethodGet, "/v1/tokens", nil) },
		},
		&cobra.Command{
			Use: "revoke NAME", Short: "Revoke a token; the next request with it is refused", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return m.with(cmd, &p, func(ctx context.Context, c *client.Client) error { return m.revoke(ctx, c, args[0]) })
			},
		})
	return cmd
}

// revoke says so if there is no such token: a name typed wrongly leaves the
// right one in force.
func (m *Main) revoke(ctx context.Context, c *client.Client, name string) error {
	type token struct {
		Name string `json:"name"`
	}
	var held struct {
		Tokens []token `json:"tokens"`
	}
	if err := c.Do(ctx, http.MethodGet, "/v1/tokens", nil, &held); err != nil {
		return err
	}
	if !slices.Contains(held.Tokens, token{name}) {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_token", Message: "there is no token of this name",
			Hint: "`abide token list` shows those there are"}
	}
	if err := c.Do(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(name), nil, nil); err != nil {
		return err
	}
	fmt.Fprintln(m.Stdout, "revoked:", name)
	return nil
}

func (m *Main) tokenCreate(p *place) *cobra.Command {
	var role string
	var purposes []string
	var admin, auditor bool
	var expires time.Duration
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a token that may act for the purposes named, and no others", Args: cobra.ExactArgs(1),
		Example: "  abide token create checkout --purpose provide --data DIR\n  abide token create mara --role support --purpose care",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{"name": args[0], "admin": admin, "auditor": auditor}
			if len(purposes) > 0 {
				in["purposes"] = purposes
			}
			if role != "" {
				in["kind"], in["role"] = "staff", role
			}
			if expires < 0 || (expires == 0 && cmd.Flags().Changed("expires")) {
				return usage("a token that has expired already opens nothing; --expires is a time from now, such as 720h")
			}
			if expires > 0 {
				in["expires"] = m.Now().Add(expires).UTC()
			}
			return m.show(cmd, p, http.MethodPost, "/v1/tokens", in)
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "role of the policy, for a member of staff")
	cmd.Flags().StringSliceVar(&purposes, "purpose", nil, "purpose it may act for; repeat it")
	cmd.Flags().BoolVar(&admin, "admin", false, "may publish, make tokens, erase and import")
	cmd.Flags().BoolVar(&auditor, "auditor", false, "may export log entries with their proofs; each export is on record")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long it is good for, such as 720h; for ever if left out")
	return cmd
}

func (m *Main) registerCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{Use: "register", GroupID: "admin", Short: "Keep the register of recipients, contracts, staff and reviews"}
	m.placeFlags(cmd, &p)
	path := func(args []string) string {
		return "/v1/register/" + url.PathEscape(args[0]) + "/" + url.PathEscape(args[1])
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "Show the register", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return m.show(cmd, &p, http.MethodGet, "/v1/register", nil)
			},
		},
		&cobra.Command{
			Use: "put KIND NAME JSON", Short: "Put a fact: members, contracts, staff or reviews", Args: cobra.ExactArgs(3),
			Example: `  abide register put members harbour-cloud '{"class":"affiliates"}'
  abide register put contracts harbour-cloud-2026 '{"recipient":"harbour-cloud","signed":"2026-01-01T00:00:00Z","covers":["HK","EU"]}'`,
			RunE: func(cmd *cobra.Command, args []string) error {
				if !json.Valid([]byte(args[2])) {
					return usage("the fact is not JSON")
				}
				return m.show(cmd, &p, http.MethodPut, path(args), json.RawMessage(args[2]))
			},
		},
		&cobra.Command{
			Use: "drop KIND NAME", Short: "Remove a fact; what rested on it closes at once", Args: cobra.ExactArgs(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return m.show(cmd, &p, http.MethodDelete, path(args), nil)
			},
		})
	return cmd
}

func (m *Main) findingsCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use: "findings", GroupID: "admin", Short: "Show what somebody should look into", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return m.show(cmd, &p, http.MethodGet, "/v1/findings", nil)
		},
	}
	m.placeFlags(cmd, &p)
	return cmd
}

func (m *Main) approvalCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{Use: "approval", GroupID: "admin", Short: "List and approve looks that the policy opens only if others agree"}
	m.placeFlags(cmd, &p)
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "Show what waits for agreement", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return m.show(cmd, &p, http.MethodGet, "/v1/approvals", nil)
			},
		},
		&cobra.Command{
			Use: "approve ID", Short: "Agree to a look that somebody else asked for", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return m.show(cmd, &p, http.MethodPost, "/v1/approvals/"+url.PathEscape(args[0])+"/approve", map[string]any{})
			},
		})
	return cmd
}
