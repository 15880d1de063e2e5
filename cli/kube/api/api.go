// Package api is a typed client of those Kubernetes resources that okteto uses, made
// of client-go's generic one.
//
// client-go's own clientset links every version of every API group and registers
// all of them when a program starts: a third of the program and of what each of the
// two processes of `okteto up` keeps resident.
package api

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

// Clientset has the clients of the API groups. Nothing is sent until one is used.
type Clientset struct {
	scheme        *runtime.Scheme
	parameters    runtime.ParameterCodec
	core          rest.Interface
	apps          rest.Interface
	batch         rest.Interface
	authorization rest.Interface
}

// New makes a client that connects as config says. All groups share its
// connections and its rate limit.
func New(config *rest.Config) (*Clientset, error) {
	shared := rest.CopyConfig(config)
	if shared.RateLimiter == nil && shared.QPS > 0 {
		shared.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(shared.QPS, shared.Burst)
	}
	http, err := rest.HTTPClientFor(shared)
	if err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	scheme := newScheme()
	c := &Clientset{scheme: scheme, parameters: runtime.NewParameterCodec(scheme)}
	codecs := serializer.NewCodecFactory(scheme)
	for _, group := range []struct {
		client  *rest.Interface
		version schema.GroupVersion
		path    string
	}{
		{&c.core, corev1.SchemeGroupVersion, "/api"},
		{&c.apps, appsv1.SchemeGroupVersion, "/apis"},
		{&c.batch, batchv1.SchemeGroupVersion, "/apis"},
		{&c.authorization, authorizationv1.SchemeGroupVersion, "/apis"},
	} {
		own := rest.CopyConfig(shared)
		own.GroupVersion, own.APIPath = &group.version, group.path
		own.NegotiatedSerializer = rest.CodecFactoryForGeneratedClient(scheme, codecs).WithoutConversion()
		if *group.client, err = rest.RESTClientForConfigAndClient(own, http); err != nil {
			return nil, fmt.Errorf("make a client of the API group %s: %w", group.version, err)
		}
	}
	return c, nil
}

// newScheme knows the types of this package's resources.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, authorizationv1.AddToScheme,
	} {
		utilruntime.Must(add(scheme)) // fails for types that clash, which these do not
	}
	return scheme
}

// Kind returns what an object of this package's resources says of itself as kind
// and apiVersion in a file.
func (c *Clientset) Kind(object runtime.Object) (schema.GroupVersionKind, error) {
	kinds, _, err := c.scheme.ObjectKinds(object)
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	return kinds[0], nil
}

// CoreV1 is the group with the empty name.
func (c *Clientset) CoreV1() CoreV1 { return CoreV1{c.core, c.parameters} }

// AppsV1 is the group apps.
func (c *Clientset) AppsV1() AppsV1 { return AppsV1{c.apps, c.parameters} }

// BatchV1 is the group batch.
func (c *Clientset) BatchV1() BatchV1 { return BatchV1{c.batch, c.parameters} }

// AuthorizationV1 is the group authorization.k8s.io.
func (c *Clientset) AuthorizationV1() AuthorizationV1 {
	return AuthorizationV1{c.authorization, c.parameters}
}
