package main

import "runtime/debug"

// built is the version that the linker was told, where the tree that it builds
// has no history: -ldflags "-X main.built=1.2.3".
var built string

// version names the build: what the linker was told, the module's version, or
// the commit it was built from.
func version() string {
	if built != "" {
		return built
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
