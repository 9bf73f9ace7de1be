package engine

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/abide-privacy/abide/policy"
)

// strictJSON decodes one JSON value and refuses fields it does not know.
func strictJSON(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("engine: text after the JSON value")
	}
	return nil
}

// controller is the controller that the policy names first.
func controller(p *policy.Policy) string {
	for _, d := range p.Set().Documents {
		if d.Controller != "" {
			return d.Controller
		}
	}
	return ""
}
