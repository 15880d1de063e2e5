package manifest

import (
	"path/filepath"
	"slices"
	"strings"
)

func (d *decoder) checkServices(dev *Dev) {
	if len(dev.Services) > 0 && !dev.VolumeEnabled() {
		field := join(dev.field, "services")
		d.fail(field, d.at(field), "set persistentVolume.enabled: true", "services share the environment's volume, which is off")
	}
	names := map[string]bool{}
	for i := range dev.Services {
		s := &dev.Services[i]
		field := d.item(dev, "services", i)
		d.checkService(field, dev, s)
		switch {
		case s.Name == "" && len(s.Selector) == 0:
			d.fail(field, d.at(field), "", "a service needs the name or the labels of its workload")
		case s.Name != "" && len(s.Selector) > 0:
			d.fail(field, d.at(field), "remove one of them", "name and selector exclude each other")
		case s.Name != "" && names[s.Name]:
			d.fail(field, d.at(field), "remove one of them", "two services are called %s", s.Name)
		case s.Name != "" && s.Name == dev.Name:
			d.fail(field, d.at(field), "", "a service cannot be the environment itself")
		}
		names[s.Name] = true
		for _, f := range s.Sync.Folders {
			if !slices.ContainsFunc(dev.Sync.Folders, func(own SyncFolder) bool { return within(own.LocalPath, f.LocalPath) }) {
				d.fail(join(field, "sync"), d.at(join(field, "sync")), "add it to the environment's sync", "%s is not among the folders that the environment synchronizes", f.LocalPath)
			}
		}
	}
}

// checkService looks at a service alone, and fills in its folders.
func (d *decoder) checkService(field string, dev *Dev, s *Service) {
	if len(s.Sync.Folders) == 0 {
		s.Sync.Folders = dev.Sync.Folders
	}
	used := map[string]bool{}
	for _, v := range dev.Volumes { // which services mount, too
		used[v.RemotePath] = true
	}
	for _, f := range s.Sync.Folders {
		if used[f.RemotePath] {
			d.fail(join(field, "sync"), d.at(join(field, "sync")), "choose another path", "%s is already the path of another folder or volume", f.RemotePath)
		}
		used[f.RemotePath] = true
	}
	d.checkWorkdir(join(field, "workdir"), s.Workdir)
	d.checkLabels(join(field, "selector"), s.Selector)
	d.checkKeys(join(field, "annotations"), "an annotation", s.Annotations)
	d.checkObjectName(join(field, "container"), "a container", s.Container)
	d.checkObjectName(join(field, "name"), "a workload", s.Name)
	d.checkResources(join(field, "resources"), s.Resources)
}

// within reports whether path is dir or below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
