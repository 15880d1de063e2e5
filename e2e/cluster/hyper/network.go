package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// cniFile is what containerd reads; the node is not Ready before it exists.
const cniFile = "/etc/cni/net.d/10-e2e.conflist"

// cniConfig takes the node's pod network. The address records are below /run,
// since no pod outlives a restart of the node.
const cniConfig = `{
  "cniVersion": "0.3.1",
  "name": "e2e",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": %q}]]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// network lets pods reach each other by their own addresses, and everything else
// by the node's.
func (a *agent) network() error {
	nodes, err := a.nodes.List(labels.Everything())
	if err != nil {
		return err
	}
	if err := masquerade(a.podSubnet); err != nil {
		return err
	}
	var errs []error
	for _, node := range nodes {
		_, subnet, err := net.ParseCIDR(node.Spec.PodCIDR)
		switch {
		case err != nil:
			// Not allocated yet; the node's update starts another pass.
		case node.Name == a.node:
			errs = append(errs, writeCNI(subnet))
		default:
			errs = append(errs, routeTo(node, subnet))
		}
	}
	return errors.Join(errs...)
}

func masquerade(podSubnet string) error {
	rule := []string{"POSTROUTING", "-s", podSubnet, "!", "-d", podSubnet, "-j", "MASQUERADE"}
	if iptables("-C", rule) == nil {
		return nil
	}
	return iptables("-A", rule)
}

func iptables(operation string, rule []string) error {
	out, err := exec.Command("iptables", append([]string{"-w", "-t", "nat", operation}, rule...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables %s %v: %w: %s", operation, rule, err, out)
	}
	return nil
}

func routeTo(node *corev1.Node, subnet *net.IPNet) error {
	for _, address := range node.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		route := &netlink.Route{Dst: subnet, Gw: net.ParseIP(address.Address)}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("route %s via %s: %w", subnet, address.Address, err)
		}
	}
	return nil
}

// writeCNI renames the file into place: containerd watches the directory.
func writeCNI(subnet *net.IPNet) error {
	config := fmt.Sprintf(cniConfig, subnet.String())
	if old, err := os.ReadFile(cniFile); err == nil && string(old) == config {
		return nil
	}
	if err := os.WriteFile(cniFile+".tmp", []byte(config), 0o644); err != nil {
		return err
	}
	return os.Rename(cniFile+".tmp", cniFile)
}
