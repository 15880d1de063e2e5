package main

import (
	"okteto/internal/contract"
	"okteto/internal/seed"
	"okteto/internal/trash"
	"okteto/remote/session"
)

// subsystems are served besides sftp, by name.
func subsystems() map[string]session.Subsystem {
	return map[string]session.Subsystem{
		contract.SeedSubsystem:  seed.Serve,
		contract.TrashSubsystem: trash.Serve,
	}
}
