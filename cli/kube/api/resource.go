package api

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// Resource is the client of the objects of one kind, of a namespace or of the
// cluster. client-go's generic client (gentype) would link its fakes, and with them
// OpenAPI and all of server-side apply.
type Resource[T object, L runtime.Object] struct {
	group     group
	name      string
	namespace string
	one       func() T
	list      func() L
}

type object interface {
	runtime.Object
	metav1.Object
}

func (r *Resource[T, L]) request(request *rest.Request) *rest.Request {
	return request.UseProtobufAsDefault().NamespaceIfScoped(r.namespace, r.namespace != "").Resource(r.name)
}

// Get reads an object.
func (r *Resource[T, L]) Get(ctx context.Context, name string, o metav1.GetOptions) (T, error) {
	result := r.one()
	return result, r.request(r.group.rest.Get()).Name(name).VersionedParams(&o, r.group.parameters).Do(ctx).Into(result)
}

// List reads all objects, or those that the options select.
func (r *Resource[T, L]) List(ctx context.Context, o metav1.ListOptions) (L, error) {
	result := r.list()
	return result, r.request(r.group.rest.Get()).VersionedParams(&o, r.group.parameters).Timeout(timeout(o)).Do(ctx).Into(result)
}

// Watch follows the objects until its end or that of ctx.
func (r *Resource[T, L]) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	return r.request(r.group.rest.Get()).VersionedParams(&o, r.group.parameters).Timeout(timeout(o)).Watch(ctx)
}

func timeout(o metav1.ListOptions) time.Duration {
	if o.TimeoutSeconds == nil {
		return 0
	}
	return time.Duration(*o.TimeoutSeconds) * time.Second
}

// Create makes an object and returns it as the server made it.
func (r *Resource[T, L]) Create(ctx context.Context, object T, o metav1.CreateOptions) (T, error) {
	result := r.one()
	return result, r.request(r.group.rest.Post()).VersionedParams(&o, r.group.parameters).Body(object).Do(ctx).Into(result)
}

// Update replaces an object, unless it was changed since it was read.
func (r *Resource[T, L]) Update(ctx context.Context, object T, o metav1.UpdateOptions) (T, error) {
	result := r.one()
	return result, r.request(r.group.rest.Put()).Name(object.GetName()).VersionedParams(&o, r.group.parameters).Body(object).Do(ctx).Into(result)
}

// Patch changes a part of an object, or of one of its subresources.
func (r *Resource[T, L]) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, subresources ...string) (T, error) {
	result := r.one()
	return result, r.request(r.group.rest.Patch(kind)).Name(name).SubResource(subresources...).
		VersionedParams(&o, r.group.parameters).Body(patch).Do(ctx).Into(result)
}

// Delete deletes an object, or begins to.
func (r *Resource[T, L]) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	return r.request(r.group.rest.Delete()).Name(name).Body(&o).Do(ctx).Error()
}
