// Package stack tells what a folder is written in, and what follows for developing
// in it.
package stack

import (
	"os"
	"path/filepath"
	"strings"
)

// Stack is what a folder is written in, and what developing in it needs.
type Stack struct {
	Name string
	// files of which one is in the folder.
	files []string
	Image string
	// Command that up runs, and the port an application usually listens on.
	Command string
	Port    int
	// Debug is the port of the usual debugger, 0 for none.
	Debug int
	// Cache is a folder worth keeping on the volume.
	Cache string
	// Ignore are patterns of what is made, not written.
	Ignore []string
}

// stacks in the order they are looked for: a package.json is also in many
// folders of other languages, so it comes late.
func stacks() []Stack {
	return []Stack{
		{Name: "Go", files: []string{"go.mod"}, Image: "golang:1", Command: "bash", Port: 8080, Debug: 2345, Cache: "/go/pkg", Ignore: []string{"/bin", "*.test"}},
		{Name: "Rust", files: []string{"Cargo.toml"}, Image: "rust:1", Command: "bash", Port: 8080, Cache: "/usr/local/cargo/registry", Ignore: []string{"/target"}},
		{Name: "Java with Gradle", files: []string{"build.gradle", "build.gradle.kts"}, Image: "gradle:8-jdk21", Command: "bash", Port: 8080, Debug: 5005, Cache: "/home/gradle/.gradle", Ignore: []string{".gradle", "build", "out"}},
		{Name: "Java with Maven", files: []string{"pom.xml"}, Image: "maven:3-eclipse-temurin-21", Command: "bash", Port: 8080, Debug: 5005, Cache: "/root/.m2", Ignore: []string{"target"}},
		{Name: ".NET", files: []string{"*.csproj", "*.sln", "*.fsproj"}, Image: "mcr.microsoft.com/dotnet/sdk:8.0", Command: "bash", Port: 5000, Ignore: []string{"bin", "obj"}},
		{Name: "Ruby", files: []string{"Gemfile"}, Image: "ruby:3", Command: "bash", Port: 3000, Debug: 1234, Cache: "/usr/local/bundle", Ignore: []string{"log", "tmp", "vendor/bundle"}},
		{Name: "PHP", files: []string{"composer.json"}, Image: "composer:2", Command: "bash", Port: 8080, Debug: 9003, Ignore: []string{"vendor"}},
		{Name: "Python", files: []string{"pyproject.toml", "requirements.txt", "setup.py", "Pipfile"}, Image: "python:3", Command: "bash", Port: 8080, Debug: 5678, Cache: "/root/.cache/pip", Ignore: []string{"__pycache__", ".venv", "venv", ".pytest_cache", "*.pyc"}},
		{Name: "Node.js", files: []string{"package.json"}, Image: "node:22", Command: "bash", Port: 3000, Debug: 9229, Cache: "/root/.npm", Ignore: []string{"node_modules"}},
	}
}

// Detect returns what a folder is written in, or nil.
func Detect(dir string) *Stack {
	for _, s := range stacks() {
		for _, pattern := range s.files {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(found) == 0 {
				continue
			}
			if info, err := os.Stat(found[0]); err == nil && info.Mode().IsRegular() {
				return &s
			}
		}
	}
	return nil
}

// IgnoreFile is a first .stignore for a folder that is written in s, which may be
// nil.
func IgnoreFile(s *Stack) string {
	var b strings.Builder
	b.WriteString("// What is not synchronized (https://docs.syncthing.net/users/ignoring).\n")
	for _, pattern := range Patterns(s) {
		b.WriteString(pattern + "\n")
	}
	return b.String()
}

// Patterns are those of IgnoreFile.
func Patterns(s *Stack) []string {
	patterns := []string{".git", ".okteto", ".DS_Store"}
	if s != nil {
		patterns = append(patterns, s.Ignore...)
	}
	return patterns
}

// Made are the patterns of the first .stignore of which there is something in the
// folder itself.
func Made(dir string) []string {
	patterns := []string{".git"}
	if s := Detect(dir); s != nil {
		patterns = append(patterns, s.Ignore...)
	}
	var made []string
	for _, pattern := range patterns {
		if found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern))); err == nil && len(found) > 0 {
			made = append(made, strings.TrimPrefix(pattern, "/"))
		}
	}
	return made
}
