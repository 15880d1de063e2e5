package manifest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
)

func (d *decoder) decodeScalar(field string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	switch v.Kind() {
	case reflect.String:
		if s, ok := d.text(field, n, tag); ok {
			v.SetString(s)
		}
	case reflect.Bool:
		if b, ok := d.boolean(field, n); ok {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if i, ok := d.integer(field, n, tag, v.Type().Bits()); ok {
			v.SetInt(i)
		}
	default:
		d.fail(field, n, "", "cannot be set in a manifest")
	}
}

// text reads any scalar as it is written, as YAML decoders do for strings.
func (d *decoder) text(field string, n *yaml.Node, tag reflect.StructTag) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.fail(field, n, "", "expected a string, got %s", describe(n))
		return "", false
	}
	s := n.Value
	if strings.ContainsRune(s, 0) {
		d.fail(field, n, "", "a zero byte cannot be in a value")
		return "", false
	}
	if tag.Get("expand") == "true" {
		var ok bool
		if s, ok = d.expand(field, n, s); !ok {
			return "", false
		}
	}
	if enum := tag.Get("enum"); enum != "" {
		values := strings.Split(enum, ",")
		if !slices.Contains(values, s) {
			d.fail(field, n, didYouMean(s, values), "expected %s, got %q", strings.Join(values, " or "), s)
			return "", false
		}
	}
	return s, true
}

// boolean also reads what YAML 1.1 took for one, as long as it is not quoted.
func (d *decoder) boolean(field string, n *yaml.Node) (value, ok bool) {
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
		switch strings.ToLower(n.Value) {
		case "true", "yes", "on":
			return true, true
		case "false", "no", "off":
			return false, true
		}
	}
	d.fail(field, n, "", "expected true or false, got %s", describe(n))
	return false, false
}

// oldOctal is a number that YAML 1.1 reads as octal and YAML 1.2 does not.
var oldOctal = regexp.MustCompile(`^[-+]?0[0-9]`)

func (d *decoder) integer(field string, n *yaml.Node, tag reflect.StructTag, bits int) (int64, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" {
		hint := ""
		if plain, err := strconv.Atoi(n.Value); err == nil && n.Kind == yaml.ScalarNode {
			hint = "remove the quotes"
			if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
				hint = fmt.Sprintf("write %d", plain) // 08080 is no number to YAML
			}
		}
		d.fail(field, n, hint, "expected a whole number, got %s", describe(n))
		return 0, false
	}
	low, high := bound(tag, "min", math.MinInt64), bound(tag, "max", math.MaxInt64)
	text := strings.ReplaceAll(n.Value, "_", "")
	if plain := strings.TrimLeft(text, "+-0"); plain != "" && oldOctal.MatchString(text) {
		d.fail(field, n, "write "+plain+" without the zeros, or "+"0o"+plain+" for an octal number",
			"%s is an octal number to some and a decimal one to others", n.Value)
		return 0, false
	}
	i, err := strconv.ParseInt(text, 0, bits)
	if err != nil || i < low || i > high {
		d.fail(field, n, "", "%s is %s", n.Value, outOfRange(low, high))
		return 0, false
	}
	return i, true
}

func bound(tag reflect.StructTag, key string, otherwise int64) int64 {
	if i, err := strconv.ParseInt(tag.Get(key), 10, 64); err == nil {
		return i
	}
	return otherwise
}

func outOfRange(low, high int64) string {
	switch {
	case low == high:
		return fmt.Sprintf("not %d", low)
	case low != math.MinInt64 && high != math.MaxInt64:
		return fmt.Sprintf("not between %d and %d", low, high)
	case low != math.MinInt64:
		return fmt.Sprintf("less than %d", low)
	}
	return "too large"
}

// decodeJSON is for Kubernetes' scalar types: quantities, int-or-string.
func (d *decoder) decodeJSON(field string, n *yaml.Node, v json.Unmarshaler) {
	if n.Kind != yaml.ScalarNode {
		d.fail(field, n, "", "expected one value, got %s", describe(n))
		return
	}
	// A number is tried as such first: int-or-string tells them apart.
	if n.ShortTag() == "!!int" && v.UnmarshalJSON([]byte(n.Value)) == nil {
		return
	}
	quoted, err := json.Marshal(n.Value)
	if err == nil {
		err = v.UnmarshalJSON(quoted)
	}
	if _, amount := v.(*resource.Quantity); amount && err != nil {
		d.fail(field, n, amountHint, "%q is not an amount", n.Value)
	} else if err != nil {
		d.fail(field, n, "", "%q cannot be used here: %v", n.Value, err)
	}
}
