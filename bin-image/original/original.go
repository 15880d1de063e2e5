// Package original writes what the original okteto CLI gives to a dev container,
// for the eras that developers still use: arguments, secrets and Syncthing's
// configuration. It is for tests: a pod that works with these works with the
// original.
package original

import (
	"fmt"
	"strings"
	"text/template"

	"okteto/internal/contract"
)

// Era of the original CLI; see package contract.
type Era string

// The eras.
const (
	S Era = "S"
	M Era = "M"
	H Era = "H"
)

// Eras lists them.
func Eras() []Era { return []Era{S, M, H} }

// Folder that is synchronized.
type Folder struct {
	Path string
	// Ignore is the content of its ignore file; empty for none.
	Ignore string
}

// Dev is what the CLI knows of an environment.
type Dev struct {
	Era     Era
	Folders []Folder
	// LocalID and RemoteID are Syncthing device ids. The original's are the
	// same for everybody; the agents must take any.
	LocalID, RemoteID string
	// Reset is --reset, or no persistent volume.
	Reset   bool
	Verbose bool
	// ConfigVersion of config.xml; 32 if zero, as the original writes.
	ConfigVersion int
	// KeepConflicts makes conflict copies; the original throws the loser away.
	KeepConflicts bool
}

// InitCommand is the init container's.
func (d Dev) InitCommand() []string {
	source := contract.LegacyImageBinDir
	if d.Era == H {
		source = contract.ImageBinDir
	}
	return []string{"sh", "-c", "cp " + source + "/* " + contract.InitBinDir}
}

// CleanCommand is what the CLI runs by the Kubernetes exec API before the
// user's command.
func (d Dev) CleanCommand() []string {
	const watches = "cat /proc/sys/fs/inotify/max_user_watches"
	switch d.Era {
	case S:
		return []string{"sh", "-c", watches + "; (cp /var/okteto/bin/* /usr/local/bin; cp /var/okteto/cloudbin/* /usr/local/bin; /var/okteto/bin/clean) >/dev/null 2>&1"}
	case M:
		return []string{"sh", "-c", "cat /var/okteto/bin/version.txt; " + watches + "; [ -f /var/okteto/cloudbin/start.sh ] && echo yes || echo no; /var/okteto/bin/clean >/dev/null 2>&1"}
	default:
		return []string{"sh", "-c", watches + "; /var/okteto/bin/clean >/dev/null 2>&1"}
	}
}

// Args of start.sh, in the order of the era.
func (d Dev) Args() []string {
	args := []string{"-r"}
	if d.Reset && d.Era != S {
		args = append(args, "-e")
	}
	if d.Verbose && d.Era != S {
		args = append(args, "-v")
	}
	args = append(args, "-s", "authorized_keys:"+contract.AuthorizedKeys)
	for i, f := range d.Folders {
		if f.Ignore != "" && d.Era != S {
			// Numbered by folder, while the secret's keys count the files.
			args = append(args, "-s", fmt.Sprintf(".stignore-%d:%s/.stignore", i+1, f.Path))
		}
	}
	if d.Reset && d.Era == S {
		args = append(args, "-e")
	}
	return args
}

// Secret is the content of /var/okteto/secret.
func (d Dev) Secret(authorizedKeys string) map[string]string {
	files := map[string]string{"authorized_keys": authorizedKeys}
	n := 0
	for _, f := range d.Folders {
		if f.Ignore != "" && d.Era != S {
			n++
			files[fmt.Sprintf(".stignore-%d", n)] = f.Ignore
		}
	}
	return files
}

// SyncSecret is the content of /var/syncthing/secret.
func (d Dev) SyncSecret(cert, key string) (map[string]string, error) {
	config, err := d.Config()
	if err != nil {
		return nil, err
	}
	return map[string]string{
		contract.SyncthingConfigFile: config,
		contract.SyncthingCertFile:   cert,
		contract.SyncthingKeyFile:    key,
	}, nil
}

// Config is config.xml of the pod.
func (d Dev) Config() (string, error) { return d.config(Local{}) }

// Local is what differs in the configuration of the laptop's end.
type Local struct {
	// Paths of the folders on the laptop.
	Paths []string
	// GUIAddress and RemoteAddress, host:port: where the laptop's REST interface
	// listens, and where its forward to the pod's sync port is.
	GUIAddress, RemoteAddress string
	// Synced says that the first synchronization is over.
	Synced bool
}

// LocalConfig is config.xml of the laptop's end. It listens on no fixed port,
// where the original's M and H listen on all interfaces.
func (d Dev) LocalConfig(l Local) (string, error) { return d.config(l) }

func (d Dev) config(l Local) (string, error) {
	if d.ConfigVersion == 0 {
		d.ConfigVersion = 32
	}
	var out strings.Builder
	if err := config.Execute(&out, struct {
		Dev
		Local
		IsLocal bool
	}{d, l, len(l.Paths) > 0}); err != nil {
		return "", fmt.Errorf("write config.xml: %w", err)
	}
	return out.String(), nil
}

// FolderID of the folder with that index.
func FolderID(i int) string { return fmt.Sprintf("%s%d", contract.FolderIDPrefix, i+1) }

// APIKey of the original, for everybody.
const APIKey = contract.OriginalAPIKey

var config = template.Must(template.New("config").Funcs(template.FuncMap{
	"id":    FolderID,
	"label": func(i int) int { return i + 1 },
}).Parse(`<configuration version="{{.ConfigVersion}}">
{{- range $i, $f := .Folders}}
    <folder id="{{id $i}}" label="{{label $i}}" path="{{if $.IsLocal}}{{index $.Paths $i}}{{else}}{{$f.Path}}{{end}}" type="{{if and $.IsLocal (not $.Synced)}}sendonly{{else}}sendreceive{{end}}" rescanIntervalS="{{if eq $.Era "S"}}3600{{else}}300{{end}}" fsWatcherEnabled="true" fsWatcherDelayS="1" ignorePerms="false" autoNormalize="true">
        <filesystemType>basic</filesystemType>
        <device id="{{$.LocalID}}" introducedBy=""></device>
        <device id="{{$.RemoteID}}" introducedBy=""></device>
        <minDiskFree unit="%">1</minDiskFree>
        <versioning></versioning>
        <copiers>0</copiers>
        <pullerMaxPendingKiB>0</pullerMaxPendingKiB>
        <hashers>0</hashers>
        <order>random</order>
        <ignoreDelete>{{and $.IsLocal (not $.Synced)}}</ignoreDelete>
        <scanProgressIntervalS>{{if eq $.Era "S"}}2{{else}}1{{end}}</scanProgressIntervalS>
        <pullerPauseS>0</pullerPauseS>
        <maxConflicts>{{if $.KeepConflicts}}-1{{else}}0{{end}}</maxConflicts>
        <disableSparseFiles>false</disableSparseFiles>
        <disableTempIndexes>false</disableTempIndexes>
        <paused>false</paused>
        <weakHashThresholdPct>25</weakHashThresholdPct>
        <markerName>.</markerName>
        <useLargeBlocks>false</useLargeBlocks>
{{- if and (eq $.Era "H") (not $.IsLocal)}}
        <disableFsync>true</disableFsync>
{{- end}}
{{- if ne $.Era "S"}}
        <copyRangeMethod>all</copyRangeMethod>
{{- end}}
    </folder>
{{- end}}
    <device id="{{.LocalID}}" name="local" compression="metadata" introducer="false" skipIntroductionRemovals="false" introducedBy="">
        <address>dynamic</address>
        <paused>false</paused>
        <autoAcceptFolders>false</autoAcceptFolders>
        <maxSendKbps>0</maxSendKbps>
        <maxRecvKbps>0</maxRecvKbps>
        <maxRequestKiB>0</maxRequestKiB>
    </device>
    <device id="{{.RemoteID}}" name="remote" compression="metadata" introducer="false" skipIntroductionRemovals="false" introducedBy="">
        <address>{{if .IsLocal}}tcp://{{.RemoteAddress}}{{else}}dynamic{{end}}</address>
        <paused>false</paused>
        <autoAcceptFolders>false</autoAcceptFolders>
        <maxSendKbps>0</maxSendKbps>
        <maxRecvKbps>0</maxRecvKbps>
        <maxRequestKiB>0</maxRequestKiB>
    </device>
    <gui enabled="true" tls="false" debugging="false">
        <address>{{if .IsLocal}}{{.GUIAddress}}{{else}}localhost:45123{{end}}</address>
        <apikey>cnd</apikey>
        <user>okteto</user>
        <password>$2a$10$yZYRo7kaSnJvkRnRvnkkTeHv2D5ujsPKkMmQNtmB7RHVJTX5l3X0K</password>
        <theme>default</theme>
    </gui>
    <ldap></ldap>
    <options>
{{- if .IsLocal}}
        <listenAddress>tcp://127.0.0.1:0</listenAddress>
{{- end}}
        <globalAnnounceEnabled>false</globalAnnounceEnabled>
        <localAnnounceEnabled>false</localAnnounceEnabled>
        <relaysEnabled>false</relaysEnabled>
        <natEnabled>false</natEnabled>
        <reconnectionIntervalS>1</reconnectionIntervalS>
        <startBrowser>false</startBrowser>
        <urAccepted>-1</urAccepted>
        <urPostInsecurely>false</urPostInsecurely>
        <urInitialDelayS>1800</urInitialDelayS>
        <restartOnWakeup>true</restartOnWakeup>
        <stunKeepaliveSeconds>0</stunKeepaliveSeconds>
        <autoUpgradeIntervalH>{{if eq .Era "S"}}12{{else}}0{{end}}</autoUpgradeIntervalH>
        <keepTemporariesH>{{if .IsLocal}}24{{else}}1{{end}}</keepTemporariesH>
        <cacheIgnoredFiles>false</cacheIgnoredFiles>
        <progressUpdateIntervalS>1</progressUpdateIntervalS>
        <limitBandwidthInLan>false</limitBandwidthInLan>
        <minHomeDiskFree unit="%">1</minHomeDiskFree>
        <releasesURL></releasesURL>
        <overwriteRemoteDeviceNamesOnConnect>false</overwriteRemoteDeviceNamesOnConnect>
        <tempIndexMinBlocks>10</tempIndexMinBlocks>
        <trafficClass>0</trafficClass>
        <defaultFolderPath></defaultFolderPath>
        <setLowPriority>false</setLowPriority>
        <crashReportingEnabled>false</crashReportingEnabled>
    </options>
</configuration>
`))
