package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// retryDelay is how long the agent rests after a step that failed.
const retryDelay = time.Second

// agent is what the published node image has kindnet and the local-path
// provisioner for, one pod per node: it writes the node's CNI configuration,
// keeps routes to the other nodes' pod networks, and makes and removes hostPath
// volumes for the claims of pods scheduled here.
type agent struct {
	node      string // this node's name
	podSubnet string // CIDR of all pods
	client    kubernetes.Interface
	informers informers.SharedInformerFactory
	nodes     corelisters.NodeLister
	claims    corelisters.PersistentVolumeClaimLister
	volumes   corelisters.PersistentVolumeLister
}

// newAgent reads NODE_NAME, POD_SUBNET and CONTROL_PLANE_ENDPOINT. kind sets the
// last, so that the agent can start before kube-proxy has made the API server's
// Service reachable.
func newAgent(getenv func(string) string) (*agent, error) {
	a := &agent{node: getenv("NODE_NAME"), podSubnet: getenv("POD_SUBNET")}
	if a.node == "" || a.podSubnet == "" {
		return nil, errors.New("NODE_NAME and POD_SUBNET must be set")
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	if endpoint := getenv("CONTROL_PLANE_ENDPOINT"); endpoint != "" {
		config.Host = "https://" + endpoint
	}
	if a.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	a.informers = informers.NewSharedInformerFactory(a.client, 0)
	core := a.informers.Core().V1()
	a.nodes, a.claims, a.volumes = core.Nodes().Lister(), core.PersistentVolumeClaims().Lister(), core.PersistentVolumes().Lister()
	return a, nil
}

// Run brings the node in line with the cluster at each change, until ctx ends.
func (a *agent) Run(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	ring := func() {
		select {
		case wake <- struct{}{}:
		default: // a pass is due already
		}
	}
	core := a.informers.Core().V1()
	for _, informer := range []cache.SharedIndexInformer{
		core.Nodes().Informer(), core.PersistentVolumeClaims().Informer(), core.PersistentVolumes().Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { ring() },
			UpdateFunc: func(any, any) { ring() },
			DeleteFunc: func(any) { ring() },
		}); err != nil {
			return fmt.Errorf("watch the cluster: %w", err)
		}
	}
	a.informers.Start(ctx.Done())
	defer a.informers.Shutdown()
	a.informers.WaitForCacheSync(ctx.Done())
	for {
		var retry <-chan time.Time
		if err := errors.Join(a.network(), a.storage(ctx)); err != nil {
			klog.ErrorS(err, "node not up to date", "retry", retryDelay)
			retry = time.After(retryDelay)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-retry:
		}
	}
}
