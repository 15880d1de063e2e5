package api

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// group is the client of an API group.
type group struct {
	rest       rest.Interface
	parameters runtime.ParameterCodec
}

// resource is what a group calls name; namespace is empty for what is in none.
func resource[T object, L runtime.Object](g group, name, namespace string, one func() T, list func() L) *Resource[T, L] {
	return &Resource[T, L]{g, name, namespace, one, list}
}

// CoreV1 is the client of the core group.
type CoreV1 group

// RESTClient sends requests that are none of the typed ones.
func (g CoreV1) RESTClient() rest.Interface { return g.rest }

// Pods of a namespace.
func (g CoreV1) Pods(namespace string) Pods {
	return Pods{resource(group(g), "pods", namespace,
		func() *corev1.Pod { return &corev1.Pod{} }, func() *corev1.PodList { return &corev1.PodList{} })}
}

// Services of a namespace.
func (g CoreV1) Services(namespace string) *Resource[*corev1.Service, *corev1.ServiceList] {
	return resource(group(g), "services", namespace,
		func() *corev1.Service { return &corev1.Service{} }, func() *corev1.ServiceList { return &corev1.ServiceList{} })
}

// Secrets of a namespace.
func (g CoreV1) Secrets(namespace string) *Resource[*corev1.Secret, *corev1.SecretList] {
	return resource(group(g), "secrets", namespace,
		func() *corev1.Secret { return &corev1.Secret{} }, func() *corev1.SecretList { return &corev1.SecretList{} })
}

// ConfigMaps of a namespace.
func (g CoreV1) ConfigMaps(namespace string) *Resource[*corev1.ConfigMap, *corev1.ConfigMapList] {
	return resource(group(g), "configmaps", namespace,
		func() *corev1.ConfigMap { return &corev1.ConfigMap{} }, func() *corev1.ConfigMapList { return &corev1.ConfigMapList{} })
}

// PersistentVolumeClaims of a namespace.
func (g CoreV1) PersistentVolumeClaims(namespace string) *Resource[*corev1.PersistentVolumeClaim, *corev1.PersistentVolumeClaimList] {
	return resource(group(g), "persistentvolumeclaims", namespace,
		func() *corev1.PersistentVolumeClaim { return &corev1.PersistentVolumeClaim{} },
		func() *corev1.PersistentVolumeClaimList { return &corev1.PersistentVolumeClaimList{} })
}

// ServiceAccounts of a namespace.
func (g CoreV1) ServiceAccounts(namespace string) *Resource[*corev1.ServiceAccount, *corev1.ServiceAccountList] {
	return resource(group(g), "serviceaccounts", namespace,
		func() *corev1.ServiceAccount { return &corev1.ServiceAccount{} },
		func() *corev1.ServiceAccountList { return &corev1.ServiceAccountList{} })
}

// Events of a namespace.
func (g CoreV1) Events(namespace string) *Resource[*corev1.Event, *corev1.EventList] {
	return resource(group(g), "events", namespace,
		func() *corev1.Event { return &corev1.Event{} }, func() *corev1.EventList { return &corev1.EventList{} })
}

// Namespaces of the cluster.
func (g CoreV1) Namespaces() *Resource[*corev1.Namespace, *corev1.NamespaceList] {
	return resource(group(g), "namespaces", "",
		func() *corev1.Namespace { return &corev1.Namespace{} }, func() *corev1.NamespaceList { return &corev1.NamespaceList{} })
}

// Nodes of the cluster.
func (g CoreV1) Nodes() *Resource[*corev1.Node, *corev1.NodeList] {
	return resource(group(g), "nodes", "",
		func() *corev1.Node { return &corev1.Node{} }, func() *corev1.NodeList { return &corev1.NodeList{} })
}

// Pods is the client of the pods of a namespace.
type Pods struct {
	*Resource[*corev1.Pod, *corev1.PodList]
}

// GetLogs prepares to read the log of a container.
func (p Pods) GetLogs(name string, o *corev1.PodLogOptions) *rest.Request {
	return p.subresource(p.group.rest.Get(), name, "log", o)
}

// Exec prepares to run a command in a container.
func (p Pods) Exec(name string, o *corev1.PodExecOptions) *rest.Request {
	return p.subresource(p.group.rest.Post(), name, "exec", o)
}

func (p Pods) subresource(request *rest.Request, name, subresource string, o runtime.Object) *rest.Request {
	return request.Namespace(p.namespace).Resource(p.name).Name(name).SubResource(subresource).VersionedParams(o, p.group.parameters)
}

// AppsV1 is the client of the group apps.
type AppsV1 group

// Deployments of a namespace.
func (g AppsV1) Deployments(namespace string) *Resource[*appsv1.Deployment, *appsv1.DeploymentList] {
	return resource(group(g), "deployments", namespace,
		func() *appsv1.Deployment { return &appsv1.Deployment{} }, func() *appsv1.DeploymentList { return &appsv1.DeploymentList{} })
}

// StatefulSets of a namespace.
func (g AppsV1) StatefulSets(namespace string) *Resource[*appsv1.StatefulSet, *appsv1.StatefulSetList] {
	return resource(group(g), "statefulsets", namespace,
		func() *appsv1.StatefulSet { return &appsv1.StatefulSet{} }, func() *appsv1.StatefulSetList { return &appsv1.StatefulSetList{} })
}

// DaemonSets of a namespace.
func (g AppsV1) DaemonSets(namespace string) *Resource[*appsv1.DaemonSet, *appsv1.DaemonSetList] {
	return resource(group(g), "daemonsets", namespace,
		func() *appsv1.DaemonSet { return &appsv1.DaemonSet{} }, func() *appsv1.DaemonSetList { return &appsv1.DaemonSetList{} })
}

// BatchV1 is the client of the group batch.
type BatchV1 group

// Jobs of a namespace.
func (g BatchV1) Jobs(namespace string) *Resource[*batchv1.Job, *batchv1.JobList] {
	return resource(group(g), "jobs", namespace,
		func() *batchv1.Job { return &batchv1.Job{} }, func() *batchv1.JobList { return &batchv1.JobList{} })
}

// AuthorizationV1 is the client of the group authorization.k8s.io.
type AuthorizationV1 group

// SelfSubjectAccessReviews ask what the user may do.
func (g AuthorizationV1) SelfSubjectAccessReviews() AccessReviews { return AccessReviews{g} }

// AccessReviews can only be created.
type AccessReviews struct{ group AuthorizationV1 }

// Create asks whether the user may do something; the answer is in the status.
func (a AccessReviews) Create(ctx context.Context, review *authorizationv1.SelfSubjectAccessReview, o metav1.CreateOptions) (*authorizationv1.SelfSubjectAccessReview, error) {
	result := &authorizationv1.SelfSubjectAccessReview{}
	return result, a.group.rest.Post().UseProtobufAsDefault().Resource("selfsubjectaccessreviews").
		VersionedParams(&o, a.group.parameters).Body(review).Do(ctx).Into(result)
}
