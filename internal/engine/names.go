package engine

import "fmt"

// Names of the parts in the supervisor's log. Without them suture prints a
// part's fields, and so reads them while the part runs.

func (r *folderRunner) String() string { return fmt.Sprintf("folder %s", r.f.ID) }
func (l *link) String() string         { return "link" }
func (p *pumps) String() string        { return "pumps" }
func (t *tracker) String() string      { return "tracker" }
