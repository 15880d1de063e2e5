package proxy

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Field numbers in Kubernetes' Protobuf messages: metadata of every object that has
// any, and labels in that (k8s.io/apimachinery, ObjectMeta).
const (
	metadataField protowire.Number = 1
	labelsField   protowire.Number = 11
)

// protobufPrefix begins every body in Protobuf ("Protobuf encoding" in the
// Kubernetes API concepts).
var protobufPrefix = []byte("k8s\x00")

// decodeProtobuf looks into objects of any kind, those included that came after
// this program, and leaves everything but the labels as it is on the wire.
func decodeProtobuf(body []byte) (*object, error) {
	body, ok := bytes.CutPrefix(body, protobufPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: not Kubernetes' Protobuf", errMediaType)
	}
	envelope := &runtime.Unknown{}
	if err := envelope.Unmarshal(body); err != nil {
		return nil, fmt.Errorf("decode body: %w", err)
	}
	if envelope.ContentEncoding != "" {
		return nil, fmt.Errorf("%w: content encoding %q", errMediaType, envelope.ContentEncoding)
	}
	metadata, rest, err := split(envelope.Raw, metadataField)
	if err != nil {
		return nil, fmt.Errorf("decode body: %w", err)
	}
	fields := &metav1.ObjectMeta{}
	if err := fields.Unmarshal(metadata); err != nil {
		return nil, fmt.Errorf("decode metadata: %w", err)
	}
	_, unlabelled, err := split(metadata, labelsField)
	if err != nil {
		return nil, fmt.Errorf("decode metadata: %w", err)
	}
	o := &object{Name: fields.Name, Labels: fields.Labels}
	if o.Labels == nil {
		o.Labels = map[string]string{}
	}
	o.encode = func(labels map[string]string) ([]byte, error) {
		only, err := (&metav1.ObjectMeta{Labels: labels}).Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode labels: %w", err)
		}
		// Marshal writes other fields even when they are empty.
		entries, _, err := fieldsOf(only, labelsField)
		if err != nil {
			return nil, fmt.Errorf("encode labels: %w", err)
		}
		marked := protowire.AppendTag(nil, metadataField, protowire.BytesType)
		marked = protowire.AppendBytes(marked, append(slices.Clip(unlabelled), entries...))
		out := *envelope
		out.Raw = append(marked, rest...)
		content, err := out.Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode body: %w", err)
		}
		return append(slices.Clip(protobufPrefix), content...), nil
	}
	return o, nil
}

// split returns the content of a field of a message, its parts joined, which is how
// they are merged, and the other fields.
func split(message []byte, number protowire.Number) (content, others []byte, err error) {
	whole, others, err := fieldsOf(message, number)
	for err == nil && len(whole) > 0 {
		_, kind, tag := protowire.ConsumeTag(whole)
		if kind != protowire.BytesType {
			return nil, nil, fmt.Errorf("field %d is no message", number)
		}
		part, n := protowire.ConsumeBytes(whole[tag:])
		content = append(content, part...)
		whole = whole[tag+n:]
	}
	return content, others, err
}

// fieldsOf returns the fields of a message that have a number, with their tags, and
// the others.
func fieldsOf(message []byte, number protowire.Number) (those, others []byte, err error) {
	for len(message) > 0 {
		found, _, n := protowire.ConsumeField(message)
		if n < 0 {
			return nil, nil, protowire.ParseError(n)
		}
		if found == number {
			those = append(those, message[:n]...)
		} else {
			others = append(others, message[:n]...)
		}
		message = message[n:]
	}
	return those, others, nil
}
