// Command abide keeps a privacy policy: it checks and publishes it, serves it,
// and enforces it over an encrypted store. `abide help` lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
	"github.com/abide-privacy/abide/internal/api"
)

// Exit codes, the same for every command.
const (
	exitOK      = 0
	exitFailed  = 1 // findings, or an error with no code of its own
	exitUsage   = 2
	exitDenied  = 3 // the policy refused
	exitMissing = 4 // not found, or erased
	exitClash   = 5 // conflict
	exitAgain   = 6 // not available, or outcome unknown: try again
)

// Main is the program with everything it touches, so that tests run it as
// main does.
type Main struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Env    func(string) string
	Now    func() time.Time
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Getenv, Now: time.Now}
	code := m.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// Run executes one command and returns its exit code.
func (m *Main) Run(ctx context.Context, args []string) int {
	root := m.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	return m.report(err)
}

func (m *Main) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "abide",
		Short: "Keep a privacy policy: the words people read and the rules that run are one file",
		Long: `Abide keeps a privacy policy. The policy is Markdown with rules in it; personal
data opens only for a purpose that the policy permits and the person has not
refused; every look is recorded.

Commands that work on people act on a running server (--server and --token, or
ABIDE_SERVER and ABIDE_TOKEN), or on a data directory (--data, or ABIDE_DATA).`,
		Version:       api.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(m.Stdin)
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err.Error()) })
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "policy", Title: "Write the policy:"},
		&cobra.Group{ID: "people", Title: "Act on people's data:"},
		&cobra.Group{ID: "admin", Title: "Administer:"},
	)
	root.SetHelpCommandGroupID("admin")
	root.SetCompletionCommandGroupID("admin")
	root.AddCommand(
		m.serveCommand(), m.initCommand(), m.witnessCommand(),
		m.policyCommand(),
		m.decideCommand(), m.explainCommand(), m.subjectCommand(), m.consentCommand(), m.certificateCommand(), m.eraseCommand(), m.retentionCommand(), m.importCommand(),
		m.keysCommand(), m.tokenCommand(), m.registerCommand(), m.approvalCommand(), m.findingsCommand(),
		m.backupCommand(), m.restoreCommand(), m.migrateCommand(),
		m.doctorCommand(), m.logCommand(),
	)
	strict(root)
	return root
}

// strict makes every command say what it takes, and makes a command that only
// groups others refuse what it does not know.
func strict(cmd *cobra.Command) {
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "`" + cmd.CommandPath() + " --help` lists the commands"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean `" + cmd.CommandPath() + " " + near[0] + "`?"
			}
			return &abide.Error{Code: abide.CodeInvalid, Detail: "usage", Message: "there is no such command: " + cmd.CommandPath() + " " + args[0], Hint: hint}
		}
		cmd.SuggestionsMinimumDistance = 2
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	} else if takes := cmd.Args; takes != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if takes(cmd, args) == nil {
				return nil
			}
			message := "something is missing"
			if wanted := len(strings.Fields(cmd.Use)) - 1; len(args) > wanted {
				message = "that is more than this command takes"
			}
			return &abide.Error{Code: abide.CodeInvalid, Detail: "usage", Message: message, Hint: "usage: " + cmd.UseLine()}
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

// usage is an error in how a command was called.
func usage(message string) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: "usage", Message: message, Hint: "add --help to see how the command is used"}
}

// quiet is a failure that was shown already.
type quiet struct{ code int }

func (q quiet) Error() string { return "failed" }

// report shows an error in the form tool: error, tool: hint, and returns the
// exit code.
func (m *Main) report(err error) int {
	var q quiet
	if errors.As(err, &q) {
		return q.code
	}
	message, hint, code, decision := err.Error(), "", exitFailed, (*abide.Decision)(nil)
	var remote *client.Error
	var own *abide.Error
	switch {
	case errors.As(err, &remote):
		message, hint, code, decision = remote.Error()+" ("+remote.Code+")", remote.Hint, exitOf(remote.Class()), remote.Decision
		for _, f := range remote.Fields {
			message += "\n  " + f.Location + ": " + f.Message
		}
	case errors.As(err, &own):
		message, hint, code, decision = own.Message, own.Hint, exitOf(own.Code), own.Decision
		if own.Field != "" {
			message += " [" + own.Field + "]"
		}
		if own.Detail == "usage" {
			code = exitUsage
		}
	case strings.HasPrefix(message, "required flag"), strings.HasPrefix(message, "if any flags"), strings.HasPrefix(message, "at least one of the flags"):
		code, hint = exitUsage, "add --help to see how the command is used"
	case errors.As(err, new(*net.OpError)):
		message, code, hint = strings.TrimPrefix(message, "abide: "), exitAgain, "is the server running, and is the URL of --server right?"
	}
	fmt.Fprintf(m.Stderr, "abide: error: %s\n", message)
	if decision != nil {
		writeReasons(m.Stderr, decision.Reasons)
	}
	if hint != "" {
		fmt.Fprintf(m.Stderr, "abide: hint: %s\n", hint)
	}
	return code
}

func exitOf(code abide.Code) int {
	switch code {
	case abide.CodeInvalid:
		return exitFailed
	case abide.CodeDenied, abide.CodeUnauthorized:
		return exitDenied
	case abide.CodeNotFound, abide.CodeErased:
		return exitMissing
	case abide.CodeConflict:
		return exitClash
	case abide.CodeUnavailable, abide.CodeOutcomeUnknown:
		return exitAgain
	default:
		return exitFailed
	}
}

// terminal reports whether w is a terminal, and how wide.
func terminal(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80, true
	}
	return width, true
}

// colour reports whether to colour what is written to w (no-color.org).
func (m *Main) colour(w io.Writer) bool {
	_, tty := terminal(w)
	return tty && m.Env("NO_COLOR") == "" && m.Env("TERM") != "dumb"
}
