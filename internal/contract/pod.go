package contract

// Paths inside the dev container.
const (
	// BinDir holds the agents in the dev container; an emptyDir filled by the
	// init container (pkg/k8s/apps/translate.go).
	BinDir = "/var/okteto/bin"
	// InitBinDir is where the init container sees BinDir.
	InitBinDir = "/okteto/bin"
	// ImageBinDir is where CLI 3.2 and later copy the agents from, inside the
	// init image; LegacyImageBinDir is where older ones do.
	ImageBinDir       = "/usr/bin-image/bin"
	LegacyImageBinDir = "/usr/local/bin"

	// StartScript is the dev container's command.
	StartScript = BinDir + "/start.sh"
	// CleanBinary is run by the CLI through the Kubernetes exec API at each
	// activation (cmd/up/exec.go).
	CleanBinary = BinDir + "/clean"
	// VersionFile is read by eras M and 2.x.
	VersionFile = BinDir + "/version.txt"
	// Busybox is the static shell that start.sh runs on, and the last resort
	// for sessions. Ours.
	Busybox = BinDir + "/busybox"

	// CloudBinDir is an optional hook: its files are copied to UserBinDir.
	CloudBinDir = "/var/okteto/cloudbin"
	UserBinDir  = "/usr/local/bin"

	// SyncthingHome holds Syncthing's configuration, SyncthingSecretDir the
	// read-only copy that comes from the Secret and wins at each start,
	// SyncthingDataDir the database (3.8.0 and later).
	SyncthingHome      = "/var/syncthing"
	SyncthingSecretDir = "/var/syncthing/secret"
	SyncthingDataDir   = "/var/syncthing/data"

	// SecretDir holds authorized_keys, the user's secrets and the ignore files.
	SecretDir = "/var/okteto/secret"
	// RemoteDir is the SSH server's state: on the volume when there is one.
	RemoteDir = "/var/okteto/remote"
	// AuthorizedKeys in OpenSSH's format (tools/remote/cmd/main.go).
	AuthorizedKeys = RemoteDir + "/authorized_keys"
	// HostKeyFile is the environment's own host key, from the Secret if it has
	// one, else made at first start. Ours; the original's is in its source.
	HostKeyFile = RemoteDir + "/" + HostKeyName
	HostKeyName = "ssh_host_ed25519_key"
	// AgentSocket always leads to the newest live connection that forwards an
	// SSH agent. Ours.
	AgentSocket = RemoteDir + "/agent.sock"
	// RemoteMetricsSocket is where okteto-remote serves its metrics for the
	// supervisor, over HTTP on a unix socket. Ours.
	RemoteMetricsSocket = RemoteDir + "/metrics.sock"
	// BashHistoryDir (H, with a persistent volume).
	BashHistoryDir = "/var/okteto/bashrc"
	// TrashDir keeps what a first synchronization sets aside in the pod, and what
	// the laptop's changes replace or delete there, by folder. Ours.
	TrashDir = SyncthingHome + "/trash"
)

// Files of the Syncthing home; the first three are keys of the Secret.
const (
	SyncthingConfigFile = "config.xml"
	SyncthingCertFile   = "cert.pem"
	SyncthingKeyFile    = "key.pem"
	// EngineFile carries what config.xml has no word for: watcher, trash,
	// marker (see internal/engine). A key of the Secret. Ours.
	EngineFile = "engine.json"
	// IgnoreFile is Syncthing's own name for a folder's ignore patterns.
	IgnoreFile = ".stignore"
)

// Agent binaries, in BinDir.
const (
	SupervisorBinary = "okteto-supervisor"
	RemoteBinary     = "okteto-remote"
	SyncthingBinary  = "syncthing"
)

// Ports in the pod. All but MetricsPort listen on loopback unless told otherwise.
const (
	// SSHPort unless OKTETO_REMOTE_PORT says otherwise.
	SSHPort = 2222
	// MetricsPort serves /metrics, /healthz and /readyz on the pod IP. Ours.
	MetricsPort = 2223
	// SyncthingGUIPort is the REST interface, SyncthingPort the block exchange
	// protocol.
	SyncthingGUIPort = 8384
	SyncthingPort    = 22000
)

// Environment variables in the pod.
const (
	EnvNamespace  = "OKTETO_NAMESPACE"
	EnvName       = "OKTETO_NAME"
	EnvUserName   = "OKTETO_USERNAME"
	EnvRemotePort = "OKTETO_REMOTE_PORT"
	// EnvRemoteAddress opens the SSH server beyond loopback, for agents baked
	// into an image: an IP address, or 0.0.0.0. Ours.
	EnvRemoteAddress = "OKTETO_REMOTE_ADDRESS"
	// EnvMetricsAddress is host:port of the metrics listener; "off" turns it
	// off. Ours.
	EnvMetricsAddress = "OKTETO_METRICS_ADDRESS"
	// EnvStartEnviron is how start.sh tells the supervisor which file descriptor
	// has the environment that the container was started with. Ours.
	EnvStartEnviron = "OKTETO_START_ENVIRON"
	// EnvTerminal is an SSH env request that names a terminal to keep over the
	// loss of its connection. Ours.
	EnvTerminal = "OKTETO_TERMINAL"
	// EnvTerminalSeen is an SSH env request beside EnvTerminal: a name that the
	// client keeps over its attempts to attach, a colon, and how many bytes of the
	// terminal's output it has had. Ours.
	EnvTerminalSeen = "OKTETO_TERMINAL_SEEN"
)

// SSH request and subsystem names.
const (
	// PingRequest and KeepaliveRequest are global requests of the original CLI
	// (pkg/ssh/pool.go); both want a reply.
	PingRequest      = "dev.okteto.com/ping"
	KeepaliveRequest = "dev.okteto.com/keepalive"
	// TypedRequest is a global request of a client that has attached to a
	// terminal (EnvTerminalSeen): the terminal's name and the client's, as strings.
	// The reply, two uint64, is how many bytes of its input the terminal's program has
	// been given, and a number that no other program has; what this one has not been
	// given will be sent again. Ours.
	TypedRequest = "dev.okteto.com/typed"
	// SeedSubsystem receives the initial synchronization as one stream. Ours.
	SeedSubsystem = "dev.okteto.com/seed"
	// TrashSubsystem lists and restores what is in the pod's trash. Ours.
	TrashSubsystem = "dev.okteto.com/trash"
)

// Identities that every installation of the original shares
// (pkg/syncthing/syncthing.go). They authenticate nothing: only binding to
// loopback protects an environment that uses them.
const (
	OriginalLocalDeviceID  = "ABKAVQF-RUO4CYO-FSC2VIP-VRX4QDA-TQQRN2J-MRDXJUC-FXNWP6N-S6ZSAAR"
	OriginalRemoteDeviceID = "ATOPHFJ-VPVLDFY-QVZDCF2-OQQ7IOW-OG4DIXF-OA7RWU3-ZYA4S22-SI4XVAU"
	OriginalAPIKey         = "cnd"
)
