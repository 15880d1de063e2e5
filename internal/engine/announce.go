package engine

import (
	"github.com/syncthing/syncthing/lib/config"
	"github.com/syncthing/syncthing/lib/protocol"
)

// clusterConfig is what the model will tell a peer a second after it has
// connected (generateClusterConfigRLocked in model.go): the folders we share,
// and how far each side's index is known. A folder that does not run yet is
// called paused, and announced by the model once it does.
func (e *Engine) clusterConfig(peer protocol.DeviceID) *protocol.ClusterConfig {
	cm := &protocol.ClusterConfig{}
	for _, f := range e.wrapper.FolderList() {
		if f.SharedWith(peer) {
			cm.Folders = append(cm.Folders, e.announcedFolder(f))
		}
	}
	return cm
}

func (e *Engine) announcedFolder(f config.FolderConfiguration) protocol.Folder {
	out := protocol.Folder{
		ID: f.ID, Label: f.Label, ReadOnly: f.Type == config.FolderTypeSendOnly, IgnorePermissions: f.IgnorePerms,
		IgnoreDelete: f.IgnoreDelete, DisableTempIndexes: f.DisableTempIndexes,
	}
	snap, err := e.model.DBSnapshot(f.ID)
	out.Paused = err != nil
	if err == nil {
		defer snap.Release()
	}
	for _, shared := range f.Devices {
		d, _ := e.wrapper.Device(shared.DeviceID)
		device := protocol.Device{
			ID: d.DeviceID, Name: d.Name, Addresses: d.Addresses, Compression: d.Compression.ToProtocol(),
			CertName: d.CertName, Introducer: d.Introducer,
		}
		key := d.DeviceID
		if key == e.id {
			key = protocol.LocalDeviceID
		}
		if set := e.sets[f.ID]; err == nil && set != nil {
			device.IndexID, device.MaxSequence = set.IndexID(key), snap.Sequence(key)
		}
		out.Devices = append(out.Devices, device)
	}
	return out
}
