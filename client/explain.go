package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	abide "github.com/abide-privacy/abide"
)

// ExplainRequest asks what was allowed on an earlier day, and why. Purpose may
// be left out with Entry; what else is left out is as on record.
type ExplainRequest struct {
	Purpose    abide.Purpose
	Act        string
	Categories []abide.Category
	Recipient  abide.Recipient
	Topic      abide.Topic
	Channel    abide.Channel
	At         time.Time // zero: now
	// Entry names one decision on record: the number of an entry, node/batch/pos
	// of a look, or a commitment.
	Entry string
	// Since asks besides when the answer changed, from then until At.
	Since time.Time
}

// Turn is an instant from which on the answer was another one, and why.
type Turn struct {
	At      time.Time      `json:"at"`
	Effect  string         `json:"effect"`
	Reasons []abide.Reason `json:"reasons"`
	Why     []string       `json:"why"`
}

// Explanation tells what was allowed, what is on record, and where the two
// differ. Of an erased person only the status is told.
type Explanation struct {
	Subject  abide.SubjectID   `json:"subject"`
	Status   abide.Status      `json:"status"`
	At       time.Time         `json:"at"`
	Asked    Asked             `json:"asked"`
	Then     abide.Decision    `json:"then"`
	Policy   *PolicyThen       `json:"policy,omitempty"`
	Known    []string          `json:"known,omitempty"`
	Agreed   []Agreement       `json:"agreed,omitempty"`
	Recorded *RecordedDecision `json:"recorded,omitempty"`
	Since    []Since           `json:"since,omitempty"`
	Turns    []Turn            `json:"turns,omitempty"`
	Now      *abide.Decision   `json:"now,omitempty"`
	FromNow  []string          `json:"from_now,omitempty"`
}

// Asked is the request that is explained.
type Asked struct {
	Actor struct {
		Kind abide.ActorKind `json:"kind"`
		Name string          `json:"name,omitempty"`
		Role string          `json:"role,omitempty"`
	} `json:"actor"`
	Purpose    abide.Purpose    `json:"purpose"`
	Act        string           `json:"act"`
	Categories []abide.Category `json:"categories"`
	Recipient  abide.Recipient  `json:"recipient,omitempty"`
	Service    abide.Service    `json:"service,omitempty"`
	Topic      abide.Topic      `json:"topic,omitempty"`
	Channel    abide.Channel    `json:"channel,omitempty"`
}

// PolicyThen is the policy that was in force.
type PolicyThen struct {
	Version   string    `json:"version"`
	Published time.Time `json:"published"`
}

// Agreement is an event of the ledger of consent, in brief.
type Agreement struct {
	N        uint64              `json:"n"`
	At       time.Time           `json:"at"`
	Action   abide.ConsentAction `json:"action"`
	Purpose  abide.Purpose       `json:"purpose,omitempty"`
	Document abide.DocumentName  `json:"document,omitempty"`
	Terms    string              `json:"terms,omitempty"`
	Grade    abide.Grade         `json:"grade,omitempty"`
	By       abide.ActorKind     `json:"by"`
	Expires  time.Time           `json:"expires,omitzero"`
}

// RecordedDecision is a decision on record, and as it comes out again.
type RecordedDecision struct {
	Entry   string    `json:"entry"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	AsOf    time.Time `json:"as_of,omitzero"`
	Asked   Asked     `json:"asked"`
	Effect  string    `json:"effect"`
	Reasons []struct {
		Code     abide.ReasonCode `json:"code"`
		Clause   string           `json:"clause,omitempty"`
		Category abide.Category   `json:"category,omitempty"`
	} `json:"reasons,omitempty"`
	Policy      string         `json:"policy,omitempty"`
	Remade      abide.Decision `json:"remade"`
	Agrees      bool           `json:"agrees"`
	Differences []Difference   `json:"differences,omitempty"`
}

// Difference is one thing in which record and reconstruction differ.
type Difference struct {
	What     string     `json:"what"`
	Recorded string     `json:"recorded,omitempty"`
	Remade   string     `json:"remade,omitempty"`
	Clause   string     `json:"clause,omitempty"`
	Span     abide.Span `json:"span,omitzero"`
	Text     string     `json:"text"`
}

// Since is something that has changed since.
type Since struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	Name string    `json:"name"`
	Text string    `json:"text"`
}

// Explain makes a past decision again from log and ledger.
func (c *Client) Explain(ctx context.Context, id abide.SubjectID, r ExplainRequest) (Explanation, error) {
	var out Explanation
	err := c.do(ctx, http.MethodGet, subject(id)+"/explain?"+r.query().Encode(), "", nil, &out)
	return out, err
}

func (r *ExplainRequest) query() url.Values {
	q := url.Values{}
	for name, v := range map[string]string{"purpose": string(r.Purpose), "act": r.Act, "recipient": string(r.Recipient),
		"topic": string(r.Topic), "channel": string(r.Channel), "entry": r.Entry} {
		if v != "" {
			q.Set(name, v)
		}
	}
	for _, c := range r.Categories {
		q.Add("category", string(c))
	}
	if !r.At.IsZero() {
		q.Set("at", r.At.UTC().Format(time.RFC3339Nano))
	}
	if !r.Since.IsZero() {
		q.Set("since", r.Since.UTC().Format(time.RFC3339Nano))
	}
	return q
}
