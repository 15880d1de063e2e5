package manifest

// Named returns an environment that nothing is known of but its name, with all
// defaults, for commands that work without a manifest. The error is *Error when
// it is no name.
func Named(name string) (*Dev, error) {
	env, err := newEnvironment(".")
	if err != nil {
		return nil, err
	}
	d := &decoder{env: env, positions: map[string]position{}}
	dev := newDev()
	dev.Name = name
	d.resolve(dev)
	d.checkName(dev)
	if len(d.issues) > 0 {
		return nil, &Error{Issues: d.issues}
	}
	return dev, nil
}
