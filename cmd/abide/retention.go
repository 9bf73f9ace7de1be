package main

import (
	"net/http"

	"github.com/spf13/cobra"
)

func (m *Main) retentionCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{Use: "retention", GroupID: "people", Short: "See when data goes, and let it go"}
	m.placeFlags(cmd, &p)
	cmd.AddCommand(m.retentionShow(&p))
	return cmd
}

func (m *Main) retentionShow(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "show SUBJECT", Short: "Show when each item of a person goes, and which ground keeps it", Args: cobra.ExactArgs(1),
		Example: "  abide retention show 0197b6a2-…",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/retention")
			if err != nil {
				return err
			}
			return m.show(cmd, p, http.MethodGet, path, nil)
		},
	}
}
