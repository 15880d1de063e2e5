package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/model"

	"okteto/internal/contract"
)

// SetSendOnly switches a folder between one-way and two-way. The folder scans
// again; it returns when that scan is over.
func (e *Engine) SetSendOnly(ctx context.Context, folder string, sendOnly bool) error {
	r, ok := e.folders[folder]
	if !ok {
		return fmt.Errorf("switch folder: no folder %s", folder)
	}
	kind := config.FolderTypeSendReceive
	if sendOnly {
		kind = config.FolderTypeSendOnly
	}
	if err := e.modifyFolder(folder, func(f *config.FolderConfiguration) { f.Type = kind }); err != nil {
		return err
	}
	// A scan of anything waits for the first one.
	if err := r.scan(ctx, []string{contract.IgnoreFile}); err != nil && !errors.Is(err, model.ErrFolderPaused) {
		return fmt.Errorf("switch folder %s: %w", folder, err)
	}
	return nil
}

// Override makes this side's content the newest, for a folder that is SendOnly:
// what a peer has changed, added or removed is undone there.
func (e *Engine) Override(folder string) { e.model.Override(folder) }

func (e *Engine) modifyFolder(id string, change func(*config.FolderConfiguration)) error {
	found := false
	waiter, err := e.wrapper.Modify(func(c *config.Configuration) {
		for i := range c.Folders {
			if c.Folders[i].ID == id {
				change(&c.Folders[i])
				found = true
			}
		}
	})
	if err != nil {
		return fmt.Errorf("change sync folder %s: %w", id, err)
	}
	if !found {
		return fmt.Errorf("change sync folder: no folder %s", id)
	}
	waiter.Wait()
	return nil
}
