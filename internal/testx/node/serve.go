package node

import "context"

func (j Job) serve(context.Context) error { return nil }
