package initcmd

import (
	"os"
	"path/filepath"
)

// stack is what a folder is written in, and what developing in it needs.
type stack struct {
	name string
	// files of which one is in the folder.
	files []string
	image string
	// command that up runs, and the port an application usually listens on.
	command string
	port    int
	// debug is the port of the usual debugger, 0 for none.
	debug int
	// cache is a folder worth keeping on the volume.
	cache string
	// ignore are patterns of what is made, not written.
	ignore []string
}

// stacks in the order they are looked for: a package.json is also in many
// folders of other languages, so it comes late.
func stacks() []stack {
	return []stack{
		{name: "Go", files: []string{"go.mod"}, image: "golang:1", command: "bash", port: 8080, debug: 2345, cache: "/go/pkg", ignore: []string{"/bin", "*.test"}},
		{name: "Rust", files: []string{"Cargo.toml"}, image: "rust:1", command: "bash", port: 8080, cache: "/usr/local/cargo/registry", ignore: []string{"/target"}},
		{name: "Java with Gradle", files: []string{"build.gradle", "build.gradle.kts"}, image: "gradle:8-jdk21", command: "bash", port: 8080, debug: 5005, cache: "/home/gradle/.gradle", ignore: []string{".gradle", "build", "out"}},
		{name: "Java with Maven", files: []string{"pom.xml"}, image: "maven:3-eclipse-temurin-21", command: "bash", port: 8080, debug: 5005, cache: "/root/.m2", ignore: []string{"target"}},
		{name: ".NET", files: []string{"*.csproj", "*.sln", "*.fsproj"}, image: "mcr.microsoft.com/dotnet/sdk:8.0", command: "bash", port: 5000, ignore: []string{"bin", "obj"}},
		{name: "Ruby", files: []string{"Gemfile"}, image: "ruby:3", command: "bash", port: 3000, debug: 1234, cache: "/usr/local/bundle", ignore: []string{"log", "tmp", "vendor/bundle"}},
		{name: "PHP", files: []string{"composer.json"}, image: "composer:2", command: "bash", port: 8080, debug: 9003, ignore: []string{"vendor"}},
		{name: "Python", files: []string{"pyproject.toml", "requirements.txt", "setup.py", "Pipfile"}, image: "python:3", command: "bash", port: 8080, debug: 5678, cache: "/root/.cache/pip", ignore: []string{"__pycache__", ".venv", "venv", ".pytest_cache", "*.pyc"}},
		{name: "Node.js", files: []string{"package.json"}, image: "node:22", command: "bash", port: 3000, debug: 9229, cache: "/root/.npm", ignore: []string{"node_modules"}},
	}
}

// detect returns what a folder is written in, or nil.
func detect(dir string) *stack {
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
