// Package syncapi talks to the Syncthing of the pod: its configuration file and
// its REST interface (https://docs.syncthing.net/dev/rest.html). It knows just
// what the supervisor reads, so that the supervisor stays small.
package syncapi

import (
	"encoding/xml"
	"errors"
	"fmt"
	"os"
)

// Config is what the supervisor needs of config.xml. The element names are the
// same in all versions of the file that the CLI's eras write (26 to 37).
type Config struct {
	XMLName xml.Name `xml:"configuration"`
	Folders []Folder `xml:"folder"`
	Devices []Device `xml:"device"`
	APIKey  string   `xml:"gui>apikey"`
}

// Folder is a synchronized folder.
type Folder struct {
	ID      string   `xml:"id,attr"`
	Path    string   `xml:"path,attr"`
	Devices []Device `xml:"device"`
}

// Device is one end, by its id.
type Device struct {
	ID   string `xml:"id,attr"`
	Name string `xml:"name,attr"`
}

// ErrConfig is wrapped by the errors of ReadConfig for a file that is there and
// is not a usable configuration.
var ErrConfig = errors.New("not a Syncthing configuration")

// ReadConfig reads config.xml.
func ReadConfig(path string) (Config, error) {
	var c Config
	b, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read Syncthing configuration: %w", err)
	}
	if err := xml.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("read Syncthing configuration %s: %w: %w", path, ErrConfig, err)
	}
	if c.APIKey == "" {
		return c, fmt.Errorf("read Syncthing configuration %s: %w: no API key", path, ErrConfig)
	}
	return c, nil
}
